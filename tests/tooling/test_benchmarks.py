"""The benchmarks still run, lose nothing, and a page can be made of what they give."""

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.benchmarks import __main__ as bench
from tests.benchmarks import client, contenders, page, plots
from tests.benchmarks.benchmark import Options
from tests.benchmarks.histogram import percentiles
from tests.benchmarks.running import DidNotStart, Server, running

needs_compiler = pytest.mark.skipif(
    client.find_compiler() is None or not sys.platform.startswith("linux"),
    reason="the load needs Linux and a C compiler",
)
TINY = Options(
    sockets=20,
    messages=3,
    rate=50,
    rounds=1,
    seconds=0.2,
    members=10,
    stalled=5,
    clients=2,
)
OURS = f"{sys.executable} -m django websockets_serve --port {{port}}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(contenders.CONTENDERS[contenders.UVICORN]()) as server:
        yield server


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the smallest fan-out wrote: ours, and ours once more as somebody's own server."""
    file = tmp_path_factory.mktemp("results") / "tiny.json"
    words = f"fanout --sockets 20 --messages 3 --rate 50 --rounds 1 --json {file}".split()
    mine = f"mine=env DJANGO_SETTINGS_MODULE=tests.benchmarks.ours {OURS}"
    assert bench.main([*words, "--server", mine, "--only", contenders.UVICORN, "mine"]) == 0
    return file


@needs_compiler
class TestRunning:
    def test_a_fan_out_loses_nothing(self, results: Path) -> None:
        [result] = json.loads(results.read_text())["results"]
        assert list(result["contenders"]) == [contenders.UVICORN, "mine"]
        for contender in result["contenders"].values():
            [row] = contender["rounds"]
            assert row["lost"] == 0
            assert row["cpu_us"] > 0
            assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"]
            assert contender["medians"]["cpu_us"] == row["cpu_us"]

    def test_the_json_says_where_it_comes_from(self, results: Path) -> None:
        run = json.loads(results.read_text())
        assert run["machine"].keys() >= {"cpu", "cores", "kernel"}
        assert run["versions"].keys() >= {"python", "uvicorn", "uvloop", "django-broadcasting"}
        assert run["command"].startswith("./dev bench fanout --sockets 20")
        assert run["date"]
        assert run["results"][0]["options"]["sockets"] == 20

    def test_ratios_are_told_in_two_ways(self, results: Path) -> None:
        [result] = json.loads(results.read_text())["results"]
        first, second = result["contenders"].values()
        assert first["ratios"] == {}
        wanted = second["medians"]["cpu_us"] / first["medians"]["cpu_us"]
        assert second["ratios"]["cpu_us"] == {"of_medians": wanted, "median": wanted}

    @pytest.mark.parametrize(
        "name", [name for name, each in bench.BENCHMARKS.items() if each.measure is not None]
    )
    def test_each_gives_all_its_columns(self, name: str, server: Server) -> None:
        benchmark = bench.BENCHMARKS[name]
        assert benchmark.measure is not None
        row = benchmark.measure(server, TINY)
        assert row.keys() >= {column.key for column in benchmark.columns}
        assert row.get("lost", 0) == 0
        assert benchmark.title.format(**{name: getattr(TINY, name) for name in benchmark.defaults})

    def test_a_server_that_runs_already_is_measured_without_its_process(
        self, server: Server, tmp_path: Path
    ) -> None:
        url, file = f"ws://127.0.0.1:{server.port}", tmp_path / "there.json"
        words = f"fanout --sockets 5 --messages 2 --rate 50 --rounds 1 --json {file} --url {url}"
        assert bench.main(words.split()) == 0
        [result] = json.loads(file.read_text())["results"]
        [row] = result["contenders"][url]["rounds"]
        assert row["lost"] == 0
        assert row["cpu_us"] is None

    def test_a_server_that_refuses_the_sockets_is_told(self, server: Server) -> None:
        wrong = Server(
            host=server.host,
            port=server.port,
            pid=None,
            application=contenders.Application(key="no-such-key"),
        )
        with pytest.raises(client.LoadFailed, match="hung up"):
            client.Load(wrong, 1, ["bench"])


class TestWhatIsMissing:
    def test_without_a_compiler(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        with pytest.raises(client.LoadFailed, match="no compiler"):
            client.build()

    def test_without_node(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        names = (contenders.UVICORN, contenders.SOKETI, contenders.LIMIT)
        found, missing = contenders.find(names, {})
        assert list(found) == [contenders.UVICORN]
        assert list(missing) == [contenders.SOKETI, contenders.LIMIT]
        assert "node" in missing[contenders.SOKETI]

    def test_a_server_that_does_not_start_is_quoted(self) -> None:
        command = (sys.executable, "-c", "raise SystemExit('no licence')")
        with (
            pytest.raises(DidNotStart, match="no licence"),
            running(contenders.Contender(command=command)),
        ):
            pass

    @needs_compiler
    def test_one_that_fails_does_not_stop_the_others(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = "fanout --sockets 2 --messages 1 --rate 50 --rounds 1".split()  # noqa: SIM905
        lame = ["--server", "lame=no-such-server {port}"]
        assert bench.main([*words, *lame, "--only", "lame", contenders.UVICORN]) == 1
        said = capsys.readouterr().out
        assert "Without lame: " in said
        assert "no-such-server" in said
        assert f"\n{contenders.UVICORN}  " in said

    @pytest.mark.parametrize(
        "words",
        [
            "fanuot",
            "trigger --members 5",
            "fanout --sockets 0",
            "fanout --rate nan",
            "fanout --only nobody",
            "fanout --url wss://example.com",
            "fanout --server mine=python",
        ],
    )
    def test_a_slip_is_refused(self, words: str) -> None:
        with pytest.raises(SystemExit) as stop:
            bench.main(words.split())
        assert stop.value.code == 2


def test_percentiles() -> None:
    assert percentiles([(1000, 98), (5000, 1), (90_000, 1)]) == {
        "p50_ms": 1.0,
        "p90_ms": 1.0,
        "p99_ms": 5.0,
        "p99_9_ms": 90.0,
    }
    assert percentiles([])["p50_ms"] is None


class TestPage:
    RUN: ClassVar[Any] = {
        "date": "2026-11-30T01:02:03+00:00",
        "command": "./dev bench steady",
        "machine": {"cpu": "Abacus", "cores": 2, "system": "Linux", "kernel": "6.1"},
        "versions": {"python": "3.11.7", "uvicorn": "0.54.0"},
        "results": [
            {
                "benchmark": "steady",
                "title": "A thousand a second",
                "about": "Steady: much.\n\nCounted by hand.",
                "options": {"sockets": 100},
                "columns": [{"key": "cpu_us", "title": "CPU", "digits": 1, "compared": True}],
                "contenders": {
                    name: {
                        "rounds": [
                            {
                                "cpu_us": cost,
                                "histogram": [[900, 50], [20_000, 1]],
                                "memory_kb": [50_000, None, 50_100],
                            }
                        ],
                        "medians": {"cpu_us": cost},
                        "ratios": ratios,
                    }
                    for name, cost, ratios in (
                        ("ours", 6.0, {}),
                        ("<theirs>", 9.0, {"cpu_us": {"of_medians": 1.5, "median": 1.5}}),
                    )
                },
                "skipped": {"another": "it needs a node"},
            }
        ],
    }

    def make(self, docs: Path) -> str:
        (docs / page.PAGE).parent.mkdir(parents=True)
        run = docs / "2026-11.json"
        run.write_text(json.dumps(self.RUN))
        assert page.main([str(run)], docs) == 0
        return (docs / page.PAGE).read_text()

    def test_it_holds_the_machine_the_table_and_who_is_missing(self, tmp_path: Path) -> None:
        text = self.make(tmp_path)
        for wanted in (
            "## Measured on 2026-11-30",
            "Abacus, 2 cores, Linux 6.1; python 3.11.7, uvicorn 0.54.0.",
            "./dev bench steady",
            "Counted by hand.",
            "| ours | 6.0 |",
            "| <theirs> | 9.0 (1.50\N{MULTIPLICATION SIGN}) |",
            "No another: it needs a node.",
        ):
            assert wanted in text
        assert (tmp_path / page.RESULTS / "2026-11.json").is_file()

    def test_each_plot_that_it_shows_is_a_picture(self, tmp_path: Path) -> None:
        text = self.make(tmp_path)
        drawn = {path.name for path in (tmp_path / page.RESULTS).glob("*.svg")}
        assert drawn == {f"2026-11-0-{plot}.svg" for plot in ("cpu_us", "latency", "memory")}
        for name in drawn:
            assert f":file: ../_static/benchmarks/{name}" in text
            # Our own file, not an attacker's.
            root = ElementTree.parse(tmp_path / page.RESULTS / name).getroot()  # noqa: S314
            words = {each.text for each in root.iter("{http://www.w3.org/2000/svg}text")}
            assert words >= {"ours", "<theirs>"}

    def test_a_plot_of_nothing_has_an_axis(self) -> None:
        assert plots.steps([]) == [0.0, *(pytest.approx(part / 5) for part in range(1, 6))]
        assert plots.decades([(0, 0.3), (1, 40)]) == [0.1, 1.0, 10.0, 100.0]

    def test_the_page_of_the_documentation_is_made_from_its_results(self) -> None:
        files = sorted((page.DOCS / page.RESULTS).glob("*.json"))
        runs = {path.stem: json.loads(path.read_text("utf-8")) for path in files}
        assert (page.DOCS / page.PAGE).read_text("utf-8") == page.page(runs), "./dev bench page"
        for name, svg in page.pictures(runs).items():
            assert (page.DOCS / page.RESULTS / name).read_text("utf-8") == svg
