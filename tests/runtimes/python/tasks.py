"""asyncio: tasks, time, queues, threads, signals and pipes."""
import asyncio
import os
import signal
import time


async def numbers(count):
    for number in range(count):
        await asyncio.sleep(0)
        yield number


async def producer(queue):
    for number in range(200):
        await queue.put(number)
    await queue.put(None)


async def consumer(queue):
    total = 0
    while (number := await queue.get()) is not None:
        total += number
    return total


async def pipes():
    loop = asyncio.get_running_loop()
    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb"))
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(write_end, "wb"))
    writer = asyncio.StreamWriter(transport, protocol, None, loop)

    async def send():
        for number in range(1000):
            writer.write(b"line %d\n" % number)
            await writer.drain()
        writer.close()

    lines, _ = await asyncio.gather(reader.read(), send())
    return lines.count(b"\n"), len(lines)


async def main():
    print("generator", [number async for number in numbers(5)])
    print("gather", sum(await asyncio.gather(*(asyncio.sleep(0.001 * (n % 7), n) for n in range(1000)))))
    queue = asyncio.Queue(10)
    print("queue", (await asyncio.gather(consumer(queue), producer(queue)))[0])
    try:
        await asyncio.wait_for(asyncio.sleep(1000), 0.02)
    except asyncio.TimeoutError:
        print("timeout")
    try:
        async with asyncio.timeout(0.02):
            await asyncio.Event().wait()
    except TimeoutError:
        print("timeout context")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.to_thread(pow, 3, 1000 + n, 1009)) for n in range(20)]
    print("to_thread", sum(task.result() for task in tasks))
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, arrived.set)
    loop.call_later(0.01, os.kill, os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(arrived.wait(), 30)
    print("signal")
    loop.run_in_executor(None, lambda: loop.call_soon_threadsafe(arrived.clear))
    while arrived.is_set():
        await asyncio.sleep(0.001)
    print("call_soon_threadsafe")
    print("pipes", *await pipes())
    start = time.monotonic()
    await asyncio.sleep(0.05)
    print("slept", time.monotonic() - start >= 0.05)
    task = asyncio.create_task(asyncio.sleep(1000))
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")


asyncio.run(main())
