import json

import tensorflow as tf
from example import is_png, load_example


def test_the_celeba_example_goes_from_made_up_data_to_a_saved_model(
    tmp_path, monkeypatch, capsys
):
    output = tmp_path / "celeba"
    monkeypatch.setattr("sys.argv", ["train_celeba", "--smoke", f"--output={output}"])
    load_example("train_celeba").main()
    printed = capsys.readouterr().out
    for stage in ("1. Devices", "2. Data", "3. Training", "4. Evaluation", "5. SavedM"):
        assert stage in printed
    assert "made-up images of tfds.testing.mock_data, not CelebA" in printed
    assert json.loads((output / "summary.json").read_text())["epochs"] == 2
    assert is_png(output / "samples.png")
    served = tf.saved_model.load(output / "saved_model")
    sample = served.signatures["sample"](
        num_samples=tf.constant(2), seed=tf.constant([0, 1])
    )
    assert sample["samples"].shape == (2, 64, 64, 3)
