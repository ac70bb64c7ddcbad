"""What many write for this job in an afternoon: read, deduplicate, sign, call at a pace, retry, write outcomes.

It keeps no ledger and no intents, so it does less than passync does for a row. Prints one line of JSON."""

import argparse
import asyncio
import base64
import csv
import json
import resource
import time
import urllib.parse
from datetime import datetime, timezone

import pyarrow.csv
import pyarrow.parquet
from aiolimiter import AsyncLimiter
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

PATH = "/api/open/alipay/v1/ipass/pass/manage/updatePass"


class Doubt(Exception):
    pass


def rows(path):
    if path.endswith(".parquet"):
        table = pyarrow.parquet.read_table(path)
    else:
        types = {name: pyarrow.string() for name in ("bill_no", "pass_id", "user_id")}
        convert = pyarrow.csv.ConvertOptions(column_types=types)
        table = pyarrow.csv.read_csv(path, convert_options=convert)
    seen = set()
    for row in table.to_pylist():
        if row["bill_no"] not in seen:
            seen.add(row["bill_no"])
            yield row


def body_of(row):
    points = str(row["points"])
    data = {"$points_zh_HK$": points, "$points_en_US$": points}
    data |= {"$level_zh_HK$": row["level.zh_HK"], "$level_en_US$": row["level.en_US"]}
    body = {"merchantId": "2160120036095023", "userId": row["user_id"], "passId": row["pass_id"]}
    body |= {"templateCode": row["template_code"], "status": "UPDATE", "dataInfo": data}
    if row["points_provider"]:
        body |= {"billNo": row["bill_no"], "pointsProvider": row["points_provider"]}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


class Caller:
    def __init__(self, args, post):
        with open(args.key, "rb") as file:
            self.key = serialization.load_pem_private_key(file.read(), None)
        with open(args.platform, "rb") as file:
            self.platform = serialization.load_pem_public_key(file.read())
        self.client, self.url, self.post = args.client, args.url, post
        self.limiter = AsyncLimiter(args.quota, 1)
        self.calls = 0

    def verify(self, headers, body):
        fields = dict(part.split("=", 1) for part in headers["signature"].split(","))
        signature = base64.b64decode(urllib.parse.unquote(fields["signature"].strip()))
        text = f"POST {PATH}\n{self.client}.{headers['response-time']}.".encode() + body
        self.platform.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())

    @retry(
        retry=retry_if_exception_type(Doubt),
        stop=stop_after_attempt(6),
        wait=wait_random_exponential(0.5, 30),
        reraise=True,
    )
    async def call(self, body):
        async with self.limiter:
            now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            text = f"POST {PATH}\n{self.client}.{now}.".encode() + body
            signature = self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())
            signature = urllib.parse.quote(base64.b64encode(signature).decode(), safe="")
            headers = {
                "content-type": "application/json; charset=UTF-8",
                "client-id": self.client,
                "request-time": now,
                "signature": f"algorithm=RSA256,keyVersion=1,signature={signature}",
            }
            self.calls += 1
            reply_headers, reply = await self.post(self.url + PATH, body, headers)
            try:
                self.verify(reply_headers, reply)
            except (InvalidSignature, KeyError) as error:
                raise Doubt from error
            values = json.loads(reply)
            result = values.get("result") or values.get("resultInfo")
            if result["resultStatus"] != "S":
                raise Doubt(result)
            return result


async def work(args, post):
    caller = Caller(args, post)
    queue = iter(rows(args.input))
    with open(args.out, "w", newline="") as file:
        writer = csv.writer(file)

        async def worker():
            for row in queue:
                try:
                    result = await caller.call(body_of(row))
                    writer.writerow([row["bill_no"], row["pass_id"], "applied", result["resultCode"]])
                except Exception as error:
                    writer.writerow([row["bill_no"], row["pass_id"], "failed", repr(error)])

        await asyncio.gather(*(worker() for _ in range(args.concurrency)))
    return caller.calls


async def with_aiohttp(args):
    import aiohttp

    connector = aiohttp.TCPConnector(limit=args.concurrency)
    timeout = aiohttp.ClientTimeout(total=15)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def post(url, body, headers):
            async with session.post(url, data=body, headers=headers) as reply:
                return reply.headers, await reply.read()

        return await work(args, post)


async def with_httpx(args):
    import httpx

    limits = httpx.Limits(max_connections=args.concurrency, max_keepalive_connections=args.concurrency)
    async with httpx.AsyncClient(limits=limits, timeout=15, trust_env=False) as client:

        async def post(url, body, headers):
            reply = await client.post(url, content=body, headers=headers)
            return reply.headers, reply.content

        return await work(args, post)


def main():
    parser = argparse.ArgumentParser()
    for name in ("input", "out", "url", "key", "platform", "client", "http"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--concurrency", type=int, default=128)
    parser.add_argument("--quota", type=int, default=1_000_000)
    args = parser.parse_args()
    began = time.perf_counter()
    calls = asyncio.run(with_httpx(args) if args.http == "httpx" else with_aiohttp(args))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {"calls": calls, "cpu_s": time.process_time(), "wall_s": time.perf_counter() - began, "peak_mib": peak}
    print(json.dumps(figures))


main()
