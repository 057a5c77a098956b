import importlib.util
import pathlib
import re

import numpy as np
import pytest

import tfp_realnvp as nvp

# One worker makes the fixtures for all.
pytestmark = pytest.mark.xdist_group("architecture")

DOCS = pathlib.Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "architecture.md").read_text(encoding="utf-8")
BLOCK = {"TL": (0, 0), "TR": (0, 1), "BL": (1, 0), "BR": (1, 1)}


def load_script(name):
    path = DOCS / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load_script("jacobian_sparsity")


def in_text(name):
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", TEXT, re.DOTALL)
    return found.group(1)


@pytest.fixture(scope="module")
def small():
    """A flow of three scales over 8 x 8 images, its states and Jacobians."""
    flow = script.make_flow(0, event_shape=(8, 8, 1), num_scales=3)
    return flow, *script.stages(flow, 0)


@pytest.fixture(scope="module")
def documented():
    """The flow of the document."""
    flow = script.make_flow(0, **script.EXAMPLE)
    return flow, *script.stages(flow, 0)


def test_jacobians_show_what_passes_through_and_that_all_depends_on_all(small):
    flow, _, patterns = small
    odd = np.add.outer(np.arange(8), np.arange(8)).ravel() % 2 == 1
    identity = np.eye(64, dtype=bool)
    assert np.array_equal(patterns[0][odd], identity[odd])
    changed = patterns[0][~odd]
    assert np.array_equal(changed[:, ~odd], identity[~odd][:, ~odd])
    assert np.all(changed[:, odd].sum(axis=1) > 3)
    assert patterns[-1].all()
    points = script.make_points(flow.event_shape, 0)
    assert script.nonzeros(flow.forward, points, np.arange(64)).all()


def test_couplings_transform_the_pixels_that_the_table_names(documented):
    _, states, _ = documented
    rows = re.findall(r"^\| (\d) \| \w+, .*? \| (.*?) \| (.*?) \|$", TEXT, re.MULTILINE)
    assert [int(number) for number, *_ in rows] == [1, 2, 3, 4, 5, 6]
    times = dict.fromkeys(BLOCK, 0)
    for (_, passes, transforms), state in zip(rows, states, strict=False):
        assert sorted(f"{passes}, {transforms}".split(", ")) == sorted(BLOCK)
        for value, names in ((0, passes), (1, transforms)):
            for name in names.split(", "):
                row, column = BLOCK[name]
                assert np.all(state[row::2, column::2] == value)
                times[name] += value
    for name, (row, column) in BLOCK.items():
        has_left = np.all(states[6][row::2, column::2] == 2)
        assert has_left == (name in ("TR", "BL"))
    text = "TL has been transformed {TL} times, TR {TR}, BL {BL} and BR {BR} times"
    assert text.format(**times) in " ".join(TEXT.split())


def test_tables_and_figures_are_what_the_scripts_make(documented, tmp_path):
    assert script.stages_table(*documented) == in_text("stages")
    assert in_text("presets").startswith(script.presets_table(["cifar10-small"], 0))
    names = re.findall(r"^\| `([\w-]+)` \| 1 \|", in_text("presets"), re.MULTILINE)
    assert names == list(script.PRESETS)
    graph = load_script("import_graph")
    found = graph.imports(graph.layers())
    assert in_text("imports") == graph.table(found)
    script.draw(*documented, tmp_path / "figure.png")
    graph.draw(found, tmp_path / "graph.png")
    for path in tmp_path.iterdir():
        assert path.stat().st_size > 10_000


def test_shapes_of_the_latents_are_those_of_the_presets():
    rows = re.findall(r"^\| (`.*?) \| (\d+ x .*?) \| (.*?) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 4
    named, flows = set(), {}
    for names, image, latents in rows:
        for pattern in re.findall("`(.*?)`", names):
            presets = [n for n in nvp.PRESETS if pathlib.PurePath(n).match(pattern)]
            assert presets
            for name in presets:
                named.add(name)
                sizes = dict(nvp.PRESETS[name], filters=1, num_blocks=1)
                key = str(sorted(sizes.items()))
                if key not in flows:
                    flows[key] = nvp.RealNVPBijector(**sizes)
                flow = flows[key]
                parts = flow.split_latent(np.zeros(flow.event_shape, np.float32))
                assert image == " x ".join(map(str, flow.event_shape))
                shapes = [" x ".join(map(str, part.shape)) for part in parts]
                assert latents == ", ".join(shapes)
    assert named == set(nvp.PRESETS)
