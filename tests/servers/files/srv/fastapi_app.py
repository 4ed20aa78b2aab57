"""A FastAPI application: a path with a number, a checked body, an answer that is made of both."""

from fastapi import FastAPI, __version__
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    name: str
    price: float


@app.get("/")
async def index():
    return {"fastapi": __version__}


@app.post("/items/{number}")
async def order(number: int, item: Item):
    return {"id": number, "name": item.name, "total": number * item.price}
