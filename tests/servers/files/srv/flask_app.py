"""A Flask application: a path with a parameter, a form of JSON, an error."""

from importlib.metadata import version

from flask import Flask, abort, jsonify, request

app = Flask(__name__)


@app.get("/")
def index():
    return f"flask {version('flask')} answers\n"


@app.get("/hello/<name>")
def hello(name):
    return f"hello {name}\n"


@app.post("/sum")
def total():
    return jsonify(sum=sum(request.get_json()))


@app.get("/gone")
def gone():
    abort(410)
