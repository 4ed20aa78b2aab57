"""What Python programs spend their time on, as pyperformance samples it: work.py ROUNDS."""
import json
import re
import sys
import time


class Body:
    __slots__ = ("x", "y", "vx", "vy", "mass")

    def __init__(self, number):
        self.x, self.y = number * 1.5, number * number * 0.3
        self.vx, self.vy, self.mass = 0.1 * number, 0.2, 1.0 + number


def bodies(steps=1500):
    all_bodies = [Body(number) for number in range(5)]
    for _ in range(steps):
        for index, a in enumerate(all_bodies):
            for b in all_bodies[index + 1 :]:
                dx, dy = a.x - b.x, a.y - b.y
                pull = 0.001 / (dx * dx + dy * dy + 0.01) ** 1.5
                a.vx -= dx * b.mass * pull
                a.vy -= dy * b.mass * pull
                b.vx += dx * a.mass * pull
                b.vy += dy * a.mass * pull
        for body in all_bodies:
            body.x += 0.001 * body.vx
            body.y += 0.001 * body.vy


def queens(size=7):
    def place(row, columns, left, right):
        if row == size:
            return 1
        return sum(
            place(row + 1, columns | {c}, left | {row + c}, right | {row - c})
            for c in range(size)
            if c not in columns and row + c not in left and row - c not in right
        )

    return place(0, frozenset(), frozenset(), frozenset())


def texts():
    data = {"items": [{"id": n, "name": f"item {n}", "tags": ["a", "b", str(n)]} for n in range(400)]}
    for _ in range(8):
        data = json.loads(json.dumps(data))
    text = " ".join(item["name"] for item in data["items"]) * 10
    return len(re.findall(r"(\w+) (\d*[02468])\b", text)), len(re.sub(r"item (\d+)", r"\1 item", text))


def tables():
    counts = {}
    for number in range(60000):
        counts[number * 7919 % 5003] = counts.get(number * 7919 % 5003, 0) + 1
    words = sorted(f"{key}:{value}" for key, value in counts.items())
    return len("".join(words)), sum(n * n for n in range(60000))


def generators():
    def tree(depth):
        if depth:
            yield from tree(depth - 1)
            yield depth
            yield from tree(depth - 1)

    return sum(tree(13))


start = time.perf_counter_ns()
for _ in range(int(sys.argv[1])):
    bodies()
    queens()
    texts()
    tables()
    generators()
print("python", time.perf_counter_ns() - start)
