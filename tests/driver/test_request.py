"""What a user asks for: the ways to ask wrongly, each in a sentence, and what comes of asking rightly."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.driver.request import Options, Request, check, locate, with_weights
from search.errors import DataError, SpaceError, StudyError, TrackingError, UserError, WeightsError

SPACE = """\
study: small
data: {source: pictures}
fixed: {weights: none}
free:
  backbone: {choice: [mobilenet_v2_035, mobilenet_025]}
  head.epochs: {int: [1, 4]}
recipes: [feature_extraction, tutorial_tenth]
"""
MakeOptions = Callable[..., Options]


@pytest.fixture
def make_options(tmp_path: Path) -> MakeOptions:
    """Make options for a small space and a folder of two classes; nothing reads the pictures here."""
    pictures = tmp_path / "pictures"
    for name in ("cats/1.jpg", "cats/2.jpg", "dogs/3.jpg"):
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        (pictures / name).write_bytes(name.encode())

    def make(space: str = SPACE, sets: tuple[str, ...] = (), **changes: Any) -> Options:
        file = tmp_path / "small.yaml"
        file.write_text(space, encoding="utf-8")
        options = Options(
            study=str(file),
            data=pictures,
            home=tmp_path / "home",
            weights=None,
            assignments=sets,
            storage=None,
            tracking=None,
            command="python -m search.run --study small.yaml",
        )
        return replace(options, **changes)

    return make


def test_a_right_request_knows_its_space_pictures_and_recipes(make_options: MakeOptions) -> None:
    request = check(make_options(sets=("budget.timeout=2h",)), {})

    assert request.file.space.budget.timeout_s == 7200.0
    assert request.source is not None
    assert request.source.kind == "folder"
    assert list(request.recipes) == ["feature_extraction", "tutorial_tenth"]
    assert request.recipes["tutorial_tenth"].head_epochs == 10
    assert request.study_file.path.name == "small.json"


def test_a_recipe_without_a_backbone_takes_the_first_of_the_space(
    make_options: MakeOptions, tmp_path: Path
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("fixed: {backbone: mobilenet_050, head.epochs: 12}\n")
    text = SPACE.replace("[feature_extraction", f"['{own}', feature_extraction")
    recipes = check(make_options(text), {}).recipes

    assert recipes["own"].backbone == "mobilenet_050"
    assert recipes["feature_extraction"].backbone == "mobilenet_v2_035"
    assert recipes["feature_extraction"].weights == "none"


def test_recipes_that_are_left_out_count_for_the_steps_but_do_not_run(make_options: MakeOptions) -> None:
    request = check(make_options(sets=("fixed.optimizer=sgd",)), {})

    assert request.recipes == {}
    assert set(request.file.left_out) == {"feature_extraction", "tutorial_tenth"}
    assert request.most_head_epochs == 10
    assert check(make_options(sets=("recipes=[]",)), {}).most_head_epochs == 4


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"study": "cat_dogs"}, SpaceError, r"no space is called 'cat_dogs' \(did you mean cats_dogs\?\)"),
        ({"sets": ("fixed.droput=1",)}, SpaceError, r"droput: .*\(did you mean dropout\?\)"),
        ({"sets": ("budget.timeout=2x",)}, SpaceError, "budget.timeout: '2x' is no duration"),
        ({"data": Path("/no/such/folder")}, DataError, "/no/such/folder"),
        ({"data": None}, DataError, "give a folder with --data"),
        ({"storage": "optuna.db"}, StudyError, "--storage: optuna.db is no database URL; write one such as"),
        ({"storage": "redis://me:s3cret@host"}, StudyError, r"redis://me:\*\*\*@host is no database URL"),
        ({"tracking": "ftp://host"}, TrackingError, "ftp"),
        (
            {"storage": "sqlite:///a.db", "tracking": "sqlite:///a.db"},
            StudyError,
            "cannot share one database",
        ),
        ({"weights": Path("/no/weights")}, WeightsError, "--weights: /no/weights is no folder"),
        (
            {"sets": ("fixed.weights=/no/file.h5", "free.backbone=[mobilenet_v2_035]")},
            WeightsError,
            r"file\.h5",
        ),
        (
            {"sets": ("fixed.backbone=vgg61",)},
            SpaceError,
            r"no backbone is called 'vgg61' \(did you mean vgg",
        ),
        (
            {"sets": ("fixed.backbone=inception_v3", "fixed.image_size=64")},
            SpaceError,
            "image_size: inception_v3 takes pictures of at least 75 px, got 64",
        ),
    ],
)
def test_a_wrong_request_is_told_in_one_sentence(
    make_options: MakeOptions, changes: dict[str, Any], kind: type[UserError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        check(make_options(**changes), {})
    assert len(str(caught.value).splitlines()) == 1
    assert "s3cret" not in str(caught.value)


def test_gp_without_its_library_is_told_before_anything_heavy_is_loaded(make_options: MakeOptions) -> None:
    from importlib.util import find_spec

    if find_spec("torch") is not None:
        pytest.skip("PyTorch is installed")
    with pytest.raises(SpaceError, match=r"sampler\.name: gp needs PyTorch"):
        check(make_options(sets=("sampler.name=gp",)), {})


def test_another_space_for_the_same_study_is_refused_unless_the_old_one_goes(
    make_options: MakeOptions,
) -> None:
    begun = check(make_options(), {})
    begun.study_file.write(begun.file.space, "f" * 64, {"n_train": 1})

    check(make_options(sets=("budget.trials=3",)), {})
    with pytest.raises(StudyError, match=r"another space \(seed: 0 then, 1 now\); .* --fresh\.$"):
        check(make_options(sets=("seed=1",)), {})
    check(make_options(sets=("seed=1",), fresh=True), {})
    check(make_options(sets=("seed=1", "study=other")), {})


def test_pictures_are_found_in_the_environment(make_options: MakeOptions, tmp_path: Path) -> None:
    request = check(make_options(data=None), {"SEARCH_DATA": str(tmp_path)})

    assert request.source is not None
    assert request.source.kind == "environment"
    assert locate(request, {}, None) is request


def test_one_class_is_told_at_once(make_options: MakeOptions, tmp_path: Path) -> None:
    (tmp_path / "one" / "cats").mkdir(parents=True)
    (tmp_path / "one" / "cats" / "1.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match="class"):
        check(make_options(data=tmp_path / "one"), {})


def test_the_sample_is_only_there_for_a_study_that_has_one(make_options: MakeOptions) -> None:
    with pytest.raises(DataError, match="has no sample; run --study cats_dogs, or give a folder"):
        check(make_options(data="sample"), {})


def test_weights_that_need_no_download_leave_the_request_as_it_is(make_options: MakeOptions) -> None:
    request: Request = check(make_options(), {})
    assert with_weights(request) == request


def test_addresses_are_shown_without_their_passwords(make_options: MakeOptions) -> None:
    options = make_options(storage="postgresql://me:s3cret@host/db", tracking="http://me:s3cret@host")

    assert options.shown_storage_url == "postgresql://me:***@host/db"
    assert options.shown_tracking_uri == "http://me:***@host"
    assert make_options().storage_url.endswith("/home/optuna.db")
    assert make_options().tracking_uri.endswith("/home/mlflow.db")
