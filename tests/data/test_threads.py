import threading
import warnings

import pytest

from search.data.threads import in_threads


def test_the_results_stand_in_the_order_of_the_items():
    assert in_threads(lambda n: n * n, range(1000)) == [n * n for n in range(1000)]


def test_progress_comes_from_the_asking_thread_and_ends_with_all():
    calls = []
    in_threads(lambda n: n, range(500), lambda done, n: calls.append((done, n, threading.current_thread())))
    assert calls[-1] == (500, 500, threading.main_thread())
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)


def test_no_items_give_nothing():
    assert in_threads(lambda n: n, [], lambda done, n: pytest.fail("there is no progress")) == []


def test_an_exception_of_the_work_comes_out():
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda n: 1 // n, range(200))


def test_other_warnings_than_pillows_are_still_heard():
    with pytest.warns(UserWarning, match="mine"):
        in_threads(lambda n: warnings.warn("mine", stacklevel=1), [1])


def test_pillows_warnings_are_not_heard():
    def warn(n):
        warnings.warn_explicit(
            "Corrupt EXIF data", UserWarning, "TiffImagePlugin.py", 1, "PIL.TiffImagePlugin"
        )

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        in_threads(warn, [1])
