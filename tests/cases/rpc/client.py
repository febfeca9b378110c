"""A client of `auth` in another language: the C++ implementation of Cap'n Proto, from Python.

    client.py RPC_SCHEMA AUTH_SCHEMA HOST PORT

Begins a session, waits for a line on standard input (meanwhile a new version is deployed), and
says as JSON what it saw before and after.
"""

import asyncio
import json
import os
import sys

import capnp

rpc_schema, auth_schema, host, port = sys.argv[1:]
# `-> stream` refers to a standard file, which pycapnp has in its package.
standard = [os.path.dirname(os.path.dirname(capnp.__file__))]
isolith = capnp.load(rpc_schema, imports=standard)
auth = capnp.load(auth_schema, imports=standard)


class Guest(auth.Named.Server):
    async def name(self, _context, **kwargs):
        return "Grace"


class Registry(auth.Registry.Server):
    async def find(self, name, _context, **kwargs):
        return Guest()


async def error(promise):
    try:
        await promise
    except capnp.KjException as failure:
        return f"{failure.type}: {failure.description}"
    return "none"


async def seen(service):
    """What a session answers: plainly, through its objects, and pipelined."""
    session = (await service.login(user="Ada")).session
    return {
        "version": (await service.version()).version,
        "object": (await session.version()).version,
        "pipelined": (await service.login(user="Bob").session.version()).version,
    }


async def main():
    stream = await capnp.AsyncIoStream.create_connection(host, int(port))
    client = capnp.TwoPartyClient(stream)
    root = client.bootstrap().cast_as(isolith.Isolith)

    opened = await root.open(service="auth", export="AUTH")
    first = opened.capability.as_interface(auth.Auth)
    session = (await first.login(user="Ada")).session
    told = {"before": await seen(first), "token": opened.pinToken != ""}
    told["callback"] = (await first.introduce(guest=Guest())).greeting
    told["chain"] = (await first.chain(registry=Registry())).name
    echo = await first.echo(blob=bytes(range(256)) * 4096, text="héllo")
    told["echo"] = bytes(echo.blob) == bytes(range(256)) * 4096 and echo.text == "héllo"
    told["inherited"] = (await session.name()).name
    told["failed"] = await error(first.fail())
    told["refused"] = await error(root.open(service="front", export="AUTH"))

    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)

    told["after"] = await seen(first)
    told["old object"] = (await session.version()).version
    fresh = (await root.open(service="auth")).capability.as_interface(auth.Auth)
    told["fresh"] = await seen(fresh)
    retried = await root.open(service="auth", pinToken=opened.pinToken)
    told["retried"] = await seen(retried.capability.as_interface(auth.Auth))
    named = await root.open(service="auth", override='auth="1.0.0"')
    told["override"] = await seen(named.capability.as_interface(auth.Auth))
    told["other set"] = await error(fresh.introduce(guest=session))
    told["unknown version"] = await error(root.open(service="auth", override='auth="9.9.9"'))
    told["forged"] = await error(root.open(service="auth", pinToken="forged"))
    print(json.dumps(told), flush=True)


asyncio.run(capnp.run(main()))
