import pytest
from pack.tools.bench_table import Row, audio_name, decode_name, second_of_video, step_name, table

STEP = Row(step_name(256, 12), seconds=20.0, gflop=6000, matmul=200.0, memory=8_000_000_000)
ROWS = [STEP, Row(decode_name(256), 2.0, 600, 200.0, None), Row(audio_name(10), 5.0, 300, 200.0, None)]


def test_the_table_can_be_checked_by_hand():
    assert table(ROWS, [STEP]) == [
        "| work | seconds | GFLOP/s | of matmul | peak memory | to baseline |",
        "|---|---|---|---|---|---|",
        "| denoising step, 12 frames of 256 px | 20.00 | 300 | 1.50 | 8.0 GB | 1.00 |",
        "| VAE decode, 1 frame of 256 px | 2.00 | 300 | 1.50 |  |  |",
        "| voice, 10 s | 5.00 | 60 | 0.30 |  |  |",
    ]


@pytest.mark.parametrize(
    "seconds, matmul, ratio",
    [(20.0, 200.0, "1.00"), (10.0, 200.0, "2.00"), (10.0, 400.0, "1.00"), (40.0, 50.0, "2.00")],
)
def test_a_machine_that_is_faster_at_everything_is_no_better(seconds, matmul, ratio):
    now = STEP._replace(seconds=seconds, matmul=matmul)
    assert table([now], [STEP])[-1].endswith(f"| {ratio} |")


def test_a_second_of_video_is_the_sum_of_its_parts():
    steps = 25 * 30 / 8  # windows of 12 frames, 4 of them shared
    assert second_of_video(ROWS, 256, 12) == steps * 20 + 30 * 2 + 0.5
