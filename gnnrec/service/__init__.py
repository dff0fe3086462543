"""A service and a web app around a saved run: profiles, histories and bucket lists in a database, lists at once.

`gnnrec serve RUN` starts it. It needs the extra ``gnnrec[serve]``. `gnnrec.service.app.create_app` makes the ASGI
application, `gnnrec.service.store.Store` keeps what people entered, and `gnnrec.service.served.ModelHolder` the model.
"""
