"""Measure histories of entities beside pandas, polars and DuckDB on the same payments.

    python benchmarks/velocity_features.py [--data transactions.parquet] [--rows N] [--quick]

Two entities, five windows (10 minutes to 30 days), and count, sum, mean and max of the amounts that
came strictly before each payment. Every engine runs in a process of its own, one after the other;
reading the data is not timed. Seconds of processor time tell a busy machine from a slow engine, and
one thread from several. Then the answers are held against each other: at the rows where no other
payment of the entity has the very same time, since pandas lets such rows see one another in the
order of the file. Ours is timed once more with all measures (distinct, ratio, since, risk and the
latest events), and as a stream. `--quick` takes a tenth of the rows.

The data are the simulated payments of the Fraud Detection Handbook where they are at hand, else
made-up payments of the same shape. `docs/decisions/0005-history-engine.md` quotes the output.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parents[2] / "shared/data/fraud_handbook_transactions/transactions.parquet"
ROWS = 881_105  # of that file
ENTITIES = ("card", "terminal")
WINDOWS = ("10min", "1h", "24h", "7d", "30d")
MEASURES = ("count", "sum", "mean", "max")
CAPS = {"card": 500, "terminal": 2000}
STREAMED = 100_000

Frame = dict[str, np.ndarray]
Times = tuple[float, float]  # seconds by the clock, and of the processor


def load(path: str, rows: int) -> Frame:
    """Return time, card, terminal, amount in cents and fraud, in order of time."""
    if not path:
        return made_up(rows)
    import pyarrow.parquet as pq

    table = pq.read_table(path).slice(0, rows)
    return {
        "time": table["TX_DATETIME"].to_numpy().astype("datetime64[us]"),
        "card": table["CUSTOMER_ID"].to_numpy(),
        "terminal": table["TERMINAL_ID"].to_numpy(),
        "cents": np.rint(table["TX_AMOUNT"].to_numpy() * 100).astype(np.int64),
        "fraud": table["TX_FRAUD"].to_numpy().astype(np.float64),
    }


def made_up(rows: int) -> Frame:
    rng = np.random.default_rng(0)
    seconds = np.sort(rng.integers(0, 92 * 86_400 * rows // ROWS, rows))
    busy = rng.gamma(2.0, size=4972)
    return {
        "time": np.datetime64("2018-06-01", "us") + seconds.astype("timedelta64[s]"),
        "card": rng.choice(len(busy), size=rows, p=busy / busy.sum()),
        "terminal": rng.integers(0, 10_000, rows),
        "cents": np.rint(rng.gamma(2.0, 2_700, rows)).astype(np.int64) + 1,
        "fraud": (rng.random(rows) < 0.008).astype(np.float64),
    }


def contract(*, every: bool) -> Any:
    from verticals.contract import Amount, DataContract, Decision, Entity, History, Target

    measures = (*MEASURES, "since", "ratio", "risk") if every else MEASURES
    others = {"card": ("terminal",), "terminal": ("card",)}
    entities = [
        Entity(
            name=name,
            column=name,
            history=History(
                windows=WINDOWS,
                measures=measures,
                distinct=others[name] if every else (),
                cap=CAPS[name],
                recent=8 if every and name == "card" else 0,
            ),
        )
        for name in ENTITIES
    ]
    return DataContract(
        solution="benchmark",
        name="benchmark",
        fields=(),
        targets=(Target(name="fraud", column="fraud", kind="binary", positive="1"),),
        decision=Decision(target="fraud", rate=0.01),
        time="time",
        entities=tuple(entities),
        amount=Amount(column="amount", currency="EUR"),
        label_delay="7d",
    )


def bound(frame: Frame) -> Any:
    from verticals.table import Table

    texts = {}
    for name in ENTITIES:  # as `bind` makes them: equal texts are one object
        different, codes = np.unique(frame[name], return_inverse=True)
        texts[f"@{name}"] = different.astype(str).astype(object)[codes]
    return Table(
        {"@time": frame["time"], "@amount": frame["cents"], "fraud": frame["fraud"], **texts}
    )


def ours(frame: Frame, *, every: bool = False) -> tuple[Times, Frame]:
    from verticals.history import history_features

    features, table = history_features(contract(every=every)), bound(frame)
    start = clock()
    made = features.batch(table)
    took = since(start)
    return took, {item.name: made[item.name] for item in features.fields if item.name != "amount"}


def ours_in_full(frame: Frame) -> tuple[Times, Frame]:
    return ours(frame, every=True)[0], {}


def with_pandas(frame: Frame) -> tuple[Times, Frame]:
    import pandas as pd

    data = pd.DataFrame({k: frame[k] for k in ("time", *ENTITIES)} | {"amount": euros(frame)})
    start, made = clock(), {}
    for entity in ENTITIES:
        ordered = data.sort_values([entity, "time"], kind="stable")
        place = np.argsort(ordered.index.to_numpy())
        groups = ordered.groupby(entity, sort=True)
        for window in WINDOWS:
            rolling = groups.rolling(window, on="time", closed="left")["amount"]
            for measure in MEASURES:
                column = getattr(rolling, measure)().to_numpy()[place]
                made[f"{entity}_{measure}_{window}"] = column
    return since(start), made


def with_polars(frame: Frame) -> tuple[Times, Frame]:
    import polars as pl

    data = pl.DataFrame({k: frame[k] for k in ("time", *ENTITIES)} | {"amount": euros(frame)})
    data = data.with_row_index("row")
    amount = pl.col("amount")
    aggregates = [
        pl.len().alias("count"),
        amount.sum().alias("sum"),
        amount.mean().alias("mean"),
        amount.max().alias("max"),
    ]
    start, made = clock(), {}
    for entity in ENTITIES:
        ordered = data.sort(entity, "time", maintain_order=True)
        place = np.argsort(ordered["row"].to_numpy())
        for window in WINDOWS:
            period = window.replace("min", "m")
            rolled = ordered.rolling("time", period=period, closed="left", group_by=entity)
            result = rolled.agg(aggregates).sort(entity, "time", maintain_order=True)
            for measure in MEASURES:
                column = result[measure].cast(pl.Float64).to_numpy()[place]
                made[f"{entity}_{measure}_{window}"] = column
    return since(start), made


def with_duckdb(frame: Frame) -> tuple[Times, Frame]:
    import duckdb
    import pyarrow as pa

    payments = pa.table(
        {k: frame[k] for k in ("time", *ENTITIES)}
        | {"amount": euros(frame), "row": np.arange(len(frame["time"]))}
    )
    database = duckdb.connect()
    database.register("payments", payments)
    words = {"min": "MINUTE", "h": "HOUR", "d": "DAY"}
    functions = {"count": "count(*)", "sum": "sum(amount)", "mean": "avg(amount)"}
    functions["max"] = "max(amount)"
    start, made = clock(), {}
    for entity in ENTITIES:
        columns, windows = [], []
        for number, window in enumerate(WINDOWS):
            digits = window.rstrip("minhd")
            span = f"INTERVAL {digits} {words[window[len(digits) :]]}"
            windows.append(
                f"w{number} AS (PARTITION BY {entity} ORDER BY time RANGE BETWEEN {span} "
                "PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING)"
            )
            columns += [
                f'{functions[measure]} OVER w{number} AS "{entity}_{measure}_{window}"'
                for measure in MEASURES
            ]
        query = f"SELECT row, {', '.join(columns)} FROM payments WINDOW {', '.join(windows)}"
        result = database.sql(query).to_arrow_table()
        place = np.argsort(result["row"].to_numpy())
        for name in result.column_names[1:]:
            made[name] = result[name].to_numpy().astype(np.float64)[place]
    return since(start), made


def clock() -> Times:
    return time.perf_counter(), time.process_time()


def since(start: Times) -> Times:
    return time.perf_counter() - start[0], time.process_time() - start[1]


def euros(frame: Frame) -> np.ndarray:
    return frame["cents"] / 100


ENGINES: dict[str, Callable[[Frame], tuple[Times, Frame]]] = {
    "verticals": ours,
    "verticals, all measures": ours_in_full,
    "pandas": with_pandas,
    "polars": with_polars,
    "duckdb": with_duckdb,
}


def worker(engine: str, path: str, rows: int, out: str) -> None:
    """Run one engine and print its figures; memory is what the kernel says was held at most."""
    frame = load(path, rows)
    (took, busy), made = ENGINES[engine](frame)
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # noqa: SIM115
    for name, column in made.items():
        np.save(Path(out) / f"{name}.npy", column)
    held = int(peak.split()[1]) / 2**20
    print(json.dumps({"seconds": took, "processor": busy, "gigabytes": held}))


def run(engine: str, path: str, rows: int, out: Path) -> dict[str, float]:
    out.mkdir()
    call = [sys.executable, __file__, "--worker", engine, "--rows", str(rows), "--out", str(out)]
    done = subprocess.run([*call, "--data", path], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{engine} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def disagreement(ours_at: Path, theirs_at: Path, frame: Frame) -> tuple[int, float]:
    """Return how many columns were compared, and the largest difference relative to 1 + value."""
    worst, compared = 0.0, 0
    for entity in ENTITIES:
        order = np.lexsort((frame["time"], frame[entity]))
        key, stamp = frame[entity][order], frame["time"][order]
        tied = (key[1:] == key[:-1]) & (stamp[1:] == stamp[:-1])
        alone = np.ones(len(order), dtype=bool)
        alone[order[1:][tied]] = alone[order[:-1][tied]] = False
        for window in WINDOWS:
            counts = np.load(ours_at / f"{entity}_count_{window}.npy")
            for measure in MEASURES:
                name = f"{entity}_{measure}_{window}.npy"
                mine, theirs = np.load(ours_at / name)[alone], np.load(theirs_at / name)[alone]
                # A sum of nothing is 0 here and missing there; a mean of nothing is missing.
                same = np.nan_to_num(theirs, nan=0.0 if measure in ("count", "sum") else np.nan)
                some = counts[alone] > 0
                gap = np.abs(mine - same)[some] / (1 + np.abs(mine[some]))
                worst = max(
                    worst, float(gap.max(initial=0.0)) if not np.isnan(gap).any() else np.inf
                )
                compared += 1
    return compared, worst


def measure_stream(path: str, rows: int) -> None:
    """Push events with all measures, and print the time of the processor that each takes."""
    from verticals.history import history_features

    frame = load(path, rows)
    table, stream = bound(frame), history_features(contract(every=True)).stream()
    delay, told = np.timedelta64(7, "D"), 0
    first = max(0, rows - 3 * STREAMED)  # enough before it to fill the windows in part
    times = []
    for row in range(first, rows):
        event = {name: column[row] for name, column in table.items()}
        while table["@time"][first + told] + delay < event["@time"]:
            known = {name: column[first + told] for name, column in table.items()}
            stream.label(known, known["fraud"], known["@time"] + delay)
            told += 1
        start = time.thread_time()
        stream.push(event)
        times.append(time.thread_time() - start)
    late = np.array(times[-STREAMED:]) * 1e6
    size = sum(tensor.nbytes for tensor in stream.save().tensors.values())
    print(
        f"\nstream, all measures, last {len(late):,} of {rows - first:,} pushes: median "
        f"{np.median(late):.0f} µs, 99% within {np.quantile(late, 0.99):.0f} µs; saved state "
        f"{size / 1e6:.1f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(DATA))
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--worker", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        worker(chosen.worker, chosen.data, chosen.rows, chosen.out)
        return
    rows = chosen.rows // 10 if chosen.quick else chosen.rows
    path = chosen.data if chosen.data and Path(chosen.data).is_file() else ""
    if not path:
        print(f"{chosen.data} is not here: the payments are made up")
    frame = load(path, rows)
    rows = len(frame["time"])
    print(f"{rows:,} payments, 2 entities, {len(WINDOWS)} windows, {', '.join(MEASURES)}\n")
    print(
        "| engine | seconds | over ours | processor | over ours | memory, GB | largest difference |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        places = {engine: Path(folder) / str(n) for n, engine in enumerate(ENGINES)}
        base: dict[str, float] = {}
        for engine, place in places.items():
            package = engine.split(",")[0]
            if importlib.util.find_spec(package) is None:
                print(f"| {engine} | skipped: not installed | | | | | |")
                continue
            found = run(engine, path, rows, place)
            base = base or found
            gap = ""
            if package != "verticals":
                compared, worst = disagreement(places["verticals"], place, frame)
                gap = f"{worst:.1e} ({compared} columns)"
            name = engine.replace(package, f"{package} {version(_distribution(package))}")
            print(
                f"| {name} | {found['seconds']:.2f} | {found['seconds'] / base['seconds']:.1f} "
                f"| {found['processor']:.2f} | {found['processor'] / base['processor']:.1f} "
                f"| {found['gigabytes']:.2f} | {gap} |",
                flush=True,
            )
    measure_stream(path, rows)


def _distribution(package: str) -> str:
    return "verticals-sdk" if package == "verticals" else package


if __name__ == "__main__":
    main()
