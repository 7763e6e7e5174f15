import threading

import pytest
from pack.vexpress.training.ahead import DrawnAhead


@pytest.mark.parametrize("ahead, drawn", [(0, [3]), (1, [3, 4]), (2, [3, 4, 5]), (9, [3, 4, 5])])
def test_the_next_steps_are_drawn_while_one_is_taken(ahead, drawn):
    asked = []
    with DrawnAhead(lambda step: asked.append(step) or step * step, ahead, stop=6) as squares:
        assert squares.take(3) == 9
        squares.thread.submit(int).result()  # comes after what was asked for
    assert asked == drawn


def test_every_step_is_drawn_once_and_in_turn():
    asked = []
    with DrawnAhead(asked.append, 2, stop=5) as steps:
        for step in range(5):
            steps.take(step)
    assert asked == [0, 1, 2, 3, 4]


def test_an_error_comes_with_its_step_and_not_before():
    def draw(step: int) -> int:
        if step == 1:
            raise KeyboardInterrupt
        return step

    with DrawnAhead(draw, 2, stop=5) as steps:
        assert steps.take(0) == 0
        with pytest.raises(KeyboardInterrupt):
            steps.take(1)
        assert steps.take(2) == 2


def test_what_is_drawn_is_drawn_elsewhere():
    with DrawnAhead(lambda step: threading.get_ident(), 1, stop=2) as threads:
        assert threads.take(0) == threads.take(1) != threading.get_ident()
