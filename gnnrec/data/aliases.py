"""Other names of columns that are recognized, in lower case, without punctuation and accents, best first.

Where a table has several of them, the first in this list is taken and the others are reported as not used.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


USERS = _words("""
    userid user uid username userno useridx userindex reviewerid customerid customer memberid member accountid account
    visitorid viewerid readerid reader personid listenerid playerid subscriberid clientid profileid steamid
    authorsteamid reviewer reviewername customername person usuario usuarioid idusuario nutzer nutzerid benutzer
    benutzerid utilisateur utilisateurid idutilisateur utente utenteid idutente gebruiker usersha1 userhash userkey
    useruuid userguid criticname critic profilename
""")
MOVIES = _words("""
    movieid movie itemid item iid mid parentasin asin isbn bookid book productid product filmid film gameid appid game
    artistid artist songid trackid track animeid anime showid titleid tconst businessid contentid videoid newsid
    articleid venueid artistmbid trackmbid recordingmbid jokeid recipeid beerid beerbeerid podcastid itemno itemidx
    itemindex sku pelicula peliculaid idpelicula filme filmeid idfilme filmnr idfilm
    livre livreid libro libroid idlibro buch buchid articulo artikel
""")
RATED_TITLES = _words("""
    imdbid tmdbid title movietitle filmtitle booktitle gametitle gamename moviename filmname name animename trackname
    songname recipename artistname
""")
"""Columns that identify the movies of ratings that have no movie id."""
RATINGS = _words("""
    rating score stars overall bookrating userrating movierating itemrating reviewscore reviewrating ratingvalue
    ratingscore userscore myrating vote grade star starrating preference puntuacion puntaje valoracion calificacion
    bewertung wertung sterne valutazione punteggio avaliacao classificacao voto nota note ratingval overallrating
    yourrating
""")
LIKES = _words("isrecommended recommended recommend isliked liked like votedup thumbs thumb reaction")
"""Other names of ``rating`` for likes and dislikes; a column of plays or hours in the same table is preferred."""
COUNTS = _words("""
    plays playcount playcounts listencount listens listeningcount count counts hours playtime playtimeforever
    hoursplayed playhours totalplays watchtime watchcount frequency quantity clicks clickcount clicktimes views
    viewcount purchases
""")
"""Other names of ``weight`` whose values are counts or hours, which are converted to weights."""
TIMES = _words("""
    timestamp unixreviewtime time datetime date ts unixtime reviewtime createdat timestampcreated ratedat ratingdate
    reviewdate ratingtimestamp ratingtime eventtime watchedat dateadded playedat updatedat visitedat fecha datum zeit
    zeitstempel horodatage orderdate purchasedate transactiondate viewdate viewtime dateviewed watchdate watcheddate
    datewatched ratedon reviewedat submitted eventtimestamp eventdate interactiontime clicktime unixtimestamp
    starttime lastwatched lastplayed
""")
TITLES = _words("""
    title movietitle name booktitle primarytitle filmtitle itemtitle itemname producttitle productname moviename
    filmname bookname artistname trackname songname songtitle gametitle gamename appname animename showtitle
    englishname originaltitle titulo titre titel titolo
""")
GENRES = _words("""
    genres genre categories category class moviegenres moviegenre bookgenre listedin generos genero generi genere
""")
YEARS = _words("""
    year releaseyear originalpublicationyear yearofpublication publicationyear startyear publishyear yearofrelease
    productionyear movieyear jahr annee anno ano
""")
