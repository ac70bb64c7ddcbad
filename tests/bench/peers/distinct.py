"""Reads a file and keeps one row of each bill, as DuckDB or Polars would be asked to. Prints one line of JSON."""

import argparse
import json
import resource
import time


def with_duckdb(path):
    import duckdb

    reader = "read_parquet(?)" if path.endswith(".parquet") else "read_csv(?, all_varchar = true, header = true)"
    # The hashes want every column to be read, as a survey reads them.
    query = f"SELECT count(*), bit_xor(hash(COLUMNS(*))) FROM (SELECT DISTINCT ON (bill_no) * FROM {reader})"
    return duckdb.execute(query, [path]).fetchone()[0]


def with_polars(path):
    import polars

    table = polars.read_parquet(path) if path.endswith(".parquet") else polars.read_csv(path, infer_schema=False)
    return table.unique("bill_no", keep="first", maintain_order=True).height


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=["duckdb", "polars"])
    parser.add_argument("path")
    args = parser.parse_args()
    began, used = time.perf_counter(), time.process_time()
    rows = {"duckdb": with_duckdb, "polars": with_polars}[args.engine](args.path)
    figures = {
        "rows": rows,
        "wall_s": time.perf_counter() - began,
        "cpu_s": time.process_time() - used,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures))


main()
