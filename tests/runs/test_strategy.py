import pytest
import tensorflow as tf

from tfp_realnvp.runs.strategy import (
    is_chief,
    make_strategy,
    slurm_cluster_resolver,
)


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)


def test_one_device_is_enough_where_there_are_no_more(monkeypatch):
    # A job of one task, or a script outside of `srun`.
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    for name in ("auto", "none"):
        strategy = make_strategy(name)
        assert strategy is tf.distribute.get_strategy() and is_chief(strategy)
    # The CPU, where there is no GPU.
    mirrored = make_strategy("mirrored")
    assert isinstance(mirrored, tf.distribute.MirroredStrategy) and is_chief(mirrored)


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 3}}',
        '{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_a_cluster_must_be_described(config, monkeypatch):
    if config:
        monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match="strategy: expected TF_CONFIG like"):
        make_strategy("multiworker")


@pytest.mark.parametrize(
    ("kind", "index", "jobs", "chief"),
    [
        ("worker", 0, ("worker",), True),
        ("worker", 1, ("worker",), False),
        ("worker", 0, ("worker", "chief"), False),
        ("chief", 0, ("worker", "chief"), True),
    ],
)
def test_one_process_of_a_cluster_is_its_chief(kind, index, jobs, chief):
    cluster = {job: ["127.0.0.1:1", "127.0.0.1:2"] for job in jobs}

    class Strategy:
        cluster_resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(cluster), task_type=kind, task_id=index
        )

    assert is_chief(Strategy()) is chief


def test_tasks_of_slurm_are_workers_that_find_one_another(monkeypatch):
    step = {
        "JOB_ID": "40005",
        "PROCID": "2",
        "STEP_NODELIST": "gpu[07-08]",
        "STEP_NUM_TASKS": "3",
        "STEP_TASKS_PER_NODE": "2,1",
    }
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    resolver, made = slurm_cluster_resolver(), []
    workers = ["gpu07:12005", "gpu07:12006", "gpu08:12005"]
    assert resolver.cluster_spec().as_dict() == {"worker": workers}
    assert (resolver.task_type, resolver.task_id) == ("worker", 2)
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", made.append)
    make_strategy("auto")
    assert made[0].cluster_spec() == resolver.cluster_spec()
