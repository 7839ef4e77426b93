from odd import reply, serve

serve(lambda request: reply(headers=["Access-Control-Allow-Credentials : true"]))
