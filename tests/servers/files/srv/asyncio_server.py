"""An asyncio server: lines come back in upper case by TCP, datagrams as they are, both families."""

import asyncio
import signal


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


async def answer(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def main():
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    server = await asyncio.start_server(answer, None, 7, backlog=1024)
    transports = [
        (await loop.create_datagram_endpoint(Echo, local_addr=(host, port)))[0]
        for host, port in (("0.0.0.0", 7), ("::", 8))
    ]
    print("ready", flush=True)
    await end.wait()
    server.close()
    await server.wait_closed()
    for transport in transports:
        transport.close()
    print("ended", flush=True)


asyncio.run(main())
