"""utils/parse_options.sh, sourced by a small recipe script under `set -euo pipefail`."""

import subprocess

import pytest
from checkout import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

UTILS = ROOT / "utils"
SCRIPT = """
set -euo pipefail
nj=4 stage=1 stop_stage=6 use_gpu=false tag= _private=1 TITLE=x
declare -i whole=3
list=(1 2)
help_message="Usage: script [--nj 4]"
. "{utils}/parse_options.sh"
printf '%s\\n' "${{nj}}|${{stage}}|${{use_gpu}}|${{tag}}|$#|$*"
compgen -A variable _po_ || true
compgen -A function _po_ || true
"""


@pytest.fixture
def script(sh, utils):
    path = sh.folder / "script.sh"
    path.write_text(SCRIPT.format(utils=utils))
    return lambda *arguments: sh("bash", path, *arguments)


def test_options_set_their_variables_and_the_rest_stays(script):
    result = script("--nj", "8", "--use-gpu", "true", "--stage", "-1", "one", "--nj", "2")
    assert result.stdout == "8|-1|true||3|one --nj 2\n"
    assert result.returncode == 0


def test_no_arguments_keep_the_defaults_and_leave_no_names_behind(script):
    assert script().stdout == "4|1|false||0|\n"


def test_an_underscore_and_a_dash_are_the_same_option(script):
    assert script("--use_gpu", "true").stdout == script("--use-gpu", "true").stdout == "4|1|true||0|\n"


def test_two_dashes_end_the_options(script):
    assert script("--nj", "2", "--", "--stage").stdout == "2|1|false||1|--stage\n"


@pytest.mark.parametrize(
    "value",
    [
        "$(touch ran)",
        "`touch ran`",
        "a'b\"c",
        "two\nlines",
        "  spaces  ",
        "*",
        "héllo 語",
        "; touch ran",
        "",
        "--max_epoch 3",
        "\\n",
    ],
)
def test_a_value_is_data(script, sh, value):
    result = script("--tag", value)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"4|1|false|{value}|0|\n"
    assert not (sh.folder / "ran").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stag", "2"], "unknown option '--stag', did you mean --stage? (--help lists them)"),
        (["--stop-stagee", "2"], "unknown option '--stop-stagee', did you mean --stop-stage? (--help lists them)"),
        (["--nj"], "option --nj needs a value"),
        (["--nj", "--stop-stage", "3"], "option --nj needs a value, but the option --stop-stage follows"),
        (["--use-gpu", "yes"], "option --use-gpu is true or false, got 'yes'"),
        (["--nj=3"], "options are written '--nj VALUE', not '--nj=VALUE'"),
        (["-n", "3"], "unknown option '-n': options begin with two dashes (--help lists them)"),
    ],
)
def test_a_wrong_option_is_one_clear_line(script, arguments, message):
    result = script(*arguments)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.rstrip("\n").endswith(f"script.sh: {message}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "option", ["--list", "--help-message", "--PATH", "--TITLE", "---private", "--nj[0]", "--whole", "--BASH_ENV"]
)
def test_only_plain_lower_case_variables_are_options(script, sh, option):
    result = script(option, "a[$(touch ran)]")
    assert result.returncode == 1
    assert f"unknown option '{option}'" in result.stderr
    assert not (sh.folder / "ran").exists()


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_is_printed_and_ends_the_script(script, option):
    result = script("--nj", "2", option)
    assert (result.returncode, result.stdout, result.stderr) == (0, "Usage: script [--nj 4]\n", "")


VALUE = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
        st.sampled_from(
            [
                "$(touch ran)",
                "`touch ran`",
                "${nj}",
                "$nj",
                "'",
                '"',
                "\\",
                "--",
                "-n",
                "\n",
                "*",
                "~",
                "!!",
                ";",
                "a[$(touch ran)]",
            ]
        ),
    ),
    max_size=4,
).map("".join)

LOOP = """
set -euo pipefail
while IFS= read -r -d '' value; do
    (
        tag=default nj=4
        set -- --tag "${value}"
        . "UTILS"/parse_options.sh
        printf '%s\\0' "${tag}"
    )
done
"""


@settings(max_examples=4)
@given(values=st.lists(VALUE.filter(lambda value: value not in ("--tag", "--nj", "--value")), min_size=60, max_size=60))
def test_whatever_a_value_is_it_arrives_as_it_is_and_is_never_run(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("values")
    script = folder / "script.sh"
    script.write_text(LOOP.replace("UTILS", str(UTILS)))
    result = subprocess.run(["bash", script], input="\0".join([*values, ""]).encode(), cwd=folder, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode().split("\0")[:-1] == values
    assert [path.name for path in folder.iterdir()] == ["script.sh"]
