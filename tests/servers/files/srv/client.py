"""A name by the resolver, and what the server there says: python's http.client through urllib."""

import socket
import sys
import urllib.request

url, name = sys.argv[1:]
print("address", socket.gethostbyname(name))
try:
    socket.getaddrinfo("nowhere.test", 80)
except socket.gaierror as error:
    print("no such name", error.errno == socket.EAI_NONAME)
with urllib.request.urlopen(url, timeout=60) as answer:
    print(answer.status, answer.read().decode(), end="")
