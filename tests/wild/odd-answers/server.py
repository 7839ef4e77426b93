from odd import reply, serve

OK = "HTTP/1.1 200 OK\r\n"
CHUNKED = OK + "Transfer-Encoding: chunked\r\n"
END = "Content-Length: 2\r\n\r\nok"
ANSWERS = {
    "/line-feeds": "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "/empty-line-first": "\r\n" + OK + END,
    "/no-phrase": "HTTP/1.1 200\r\n" + END,
    "/no-name": OK + ": v\r\n" + END,
    "/odd-names": OK + "X Header: y\r\nX(H): y\r\n@x: y\r\n" + END,
    "/odd-values": OK + "X-A: \xe4\xff\r\nX-B: a\x01b\x7f\r\nX-C:\ty\t\r\n" + END,
    "/two-lengths": OK + "Content-Length: 2\r\n" + END,
    "/length-and-chunks": CHUNKED + "Content-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "/odd-chunks": CHUNKED + "\r\n0002;a=b  \r\nok\r\n000\r\n\r\n",
    "/trailer": CHUNKED + "Trailer: x\r\n\r\n2\r\nok\r\n0\r\nx: y\r\n\r\n",
    "/hints": "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK + END,
    "/no-content": "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    "/status-999": "HTTP/1.1 999 Denied\r\n" + END,
    "/right": reply().decode(),
}


serve(lambda request: ANSWERS[request.target].encode("latin1"))
