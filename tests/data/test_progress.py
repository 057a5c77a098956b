from tfp_realnvp.data.progress import ProgressBar


def test_a_bar_is_shown_only_if_there_are_many_images(capsys):
    ProgressBar(999).update(999)
    assert capsys.readouterr().out == ""
    ProgressBar(1000).update(1000)
    assert "1000/1000" in capsys.readouterr().out
