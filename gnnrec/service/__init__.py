"""A service and a web app for a saved run, with profiles, histories and bucket lists in a database.

`gnnrec serve RUN` starts it. It needs the extra ``gnnrec[serve]``. `gnnrec.service.app.create_app` creates the ASGI
application, `gnnrec.service.store.Store` stores user data, and `gnnrec.service.served.ModelHolder` holds the model.
"""
