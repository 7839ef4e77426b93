from odd import reply, serve

serve(lambda request: reply(headers=[f"X-H{number}: v" for number in range(130)]))
