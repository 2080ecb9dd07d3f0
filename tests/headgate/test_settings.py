"""``headgate.toml``: exact values, every fault with its line and its mend."""

from __future__ import annotations

import tomllib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import AccountConfig, GuardrailConfig
from headgate.amounts import MICROS, exact
from headgate.sections import GuardrailSettings
from headgate.settings import Settings
from headgate.settings_file import ConfigInvalid, load_settings
from headgate.toml_places import key_lines

DESIGN = """\
[defaults]                        # serves every account that is not listed
currency = "USD"
mode = "direct"                   # direct | pipeline
stages = "none"
policy = "headgate"
autonomy = "observe"
spend_granularity = "any"
break_even_roas = 1.0
platform = "simulated"
# pool_daily_budget = 500
strict_accounts = false

[tenants.acme.accounts."act_1"]   # overrides of the defaults, any of them
mode = "pipeline"
stages = "service"

[stages.our_crm]
closed_won = { value = 15000, uses_value = true, aliases = ["closedwon"] }

[log]
url = "embedded:"

[platforms.meta]
base_url = "https://graph.facebook.com"
api_version = "v25.0"
token_file = "secrets/meta.token"
settle_s = 20
"""


def read(tmp_path, text, environment=None):
    file = tmp_path / "headgate.toml"
    file.write_text(text, "utf-8")
    return load_settings(file, environment or {})


def problems(tmp_path, text, environment=None):
    with pytest.raises(ConfigInvalid) as refused:
        read(tmp_path, text, environment)
    return [problem.removeprefix(f"{tmp_path}/headgate.toml:") for problem in refused.value.problems]


def only_problem(tmp_path, text):
    (found,) = problems(tmp_path, text)
    return found


def test_built_in_defaults_are_those_of_the_engine():
    engine = Settings().engine()
    assert engine.defaults == AccountConfig(policy="headgate")
    assert GuardrailSettings().config() == GuardrailConfig()
    assert engine.accounts == {}
    assert not engine.strict_accounts


def test_the_example_of_the_documentation_is_read(tmp_path):
    settings = read(tmp_path, DESIGN)
    account = settings.engine().of("acme", "act_1")
    assert account.mode == "pipeline"
    assert account.stages["appointment_scheduled"].value_micros == 2_250_000_000
    assert account.stages["closed_won"].uses_value
    assert account.stages["closed_won"].aliases == ("closedwon",)
    assert settings.stage_table("our_crm")["closed_won"].value_micros == 15_000_000_000
    assert settings.platforms.meta.settle_s == 20_000
    assert settings.engine().of("acme", "other").mode == "direct"


def test_an_account_overrides_the_defaults_and_only_what_it_names(tmp_path):
    text = """
    [defaults]
    currency = "EUR"
    zone_spend = "12.50"
    kill_roas = 0.4
    [guardrails]
    velocity = 0.1
    fuzz = 0
    [tenants.t.accounts.a]
    zone_spend = 7
    guardrails = { velocity = "0.05" }
    """
    engine = read(tmp_path, text).engine()
    account = engine.of("t", "a")
    assert (account.currency, account.zone.spend_micros, account.thresholds.kill_roas_ppm) == (
        "EUR",
        7 * MICROS,
        400_000,
    )
    assert (account.guardrails.velocity_ppm, account.guardrails.fuzz_ppm) == (50_000, 0)
    assert engine.defaults.zone.spend_micros == 12_500_000
    assert engine.defaults.guardrails.velocity_ppm == 100_000


@pytest.mark.parametrize(
    ("written", "micros"),
    [
        ("15000", 15_000_000_000),
        ('"2250.50"', 2_250_500_000),
        ("0.1", 100_000),
        ("0.000001", 1),
        ("1e3", 1_000_000_000),
    ],
)
def test_money_is_exact(tmp_path, written, micros):
    settings = read(tmp_path, f"[stages.s]\nlead = {written}\nwon = {{ value = {written} }}\n")
    assert {row.value_micros for row in settings.stage_table("s").values()} == {micros}


@pytest.mark.parametrize(
    "written", ["0.0000001", '"1.0000005"', "-1", '"ten"', "true", "nan", "inf", "1e10", "[1]", '""']
)
def test_money_that_is_not_exact_or_not_money_is_refused(tmp_path, written):
    assert only_problem(tmp_path, f"[defaults]\n\nzone_spend = {written}\n").startswith("3: zone_spend: ")


@given(st.integers(0, 10**15))
def test_every_amount_survives_being_written(micros):
    assert exact(str(Decimal(micros) / MICROS), MICROS, 10**15) == micros
    written = tomllib.loads(f"v = {Decimal(micros) / MICROS:f}", parse_float=Decimal)["v"]
    assert exact(written, MICROS, 10**15) == micros


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[defaults]\nmode = "direkt"', '2: mode = "direkt" is not one of direct, pipeline; did you mean "direct"?'),
        ('[defaults]\npolicy = "treshold"', 'did you mean "thresholds"?'),
        ("[defaults]\nkil_roas = 1", '2: unknown key "kil_roas" in [defaults]; did you mean "kill_roas"?'),
        ("\n[guardrials]\n", '2: unknown key "guardrials" at the top of the file; did you mean "guardrails"?'),
        ('[tenants.a.acounts."x"]\n', '1: unknown key "acounts" in [tenants.a]; did you mean "accounts"?'),
        ('[platforms.mata]\nsettle_s = 1\n', '1: unknown key "mata" in [platforms]; did you mean "meta"?'),
        ('[platforms.meta]\nsecret = "x"\n', "2: unknown key \"secret\" in [platforms.meta]; secrets are not read"),
        ("[defaults]\nstrict_accounts = 1", "2: strict_accounts must be true or false, not 1"),
        ("defaults = 3", "1: defaults must be a table, not 3"),
        ('[defaults]\ncurrency = "usd"', "2: currency: \"usd\" must be three capital letters"),
        ('[defaults]\nstages = "servcie"', '2: there is no stage table "servcie"; did you mean "service"?'),
        ('[tenants.t.accounts."a b"]\nmode = "direct"', "may only hold letters, digits"),
        ("[stages.service]\nlead = 0", '1: "service" is the name of a preset'),
        ("[stages.s]\nx = { uses_value = true }", "2: value is missing"),
        ('[stages.s]\na = 1\nb = { value = 2, aliases = [\n"a"] }', '4: "a" already stands for the stage "a"'),
        ('[log]\nurl = "mysql://x"', "2: url: \"mysql://x\" is not a url of a kind known here: embedded:, redis://"),
        ('[state]\nurl = "redis://u:pw@h/0"', "2: a password does not belong here; set HEADGATE_STATE_URL"),
        ("[log]\nshards = 0", "2: shards must be greater than or equal to 1, not 0"),
        ("[guardrails]\nbudget_min = 5\nbudget_max = 4", "1: guardrails: budget_min is above budget_max"),
        ("[defaults]\nkill_roas = 4", "2: kill_roas is above scale_roas"),
        ("[defaults]\nmode = ", "2: not valid TOML: invalid value"),
        ("[a]\n[a]\n", "2: not valid TOML: cannot declare"),
    ],
)  # fmt: skip
def test_a_fault_names_its_line_and_its_mend(tmp_path, text, said):
    assert said in only_problem(tmp_path, text)


def test_all_faults_are_found_at_once_in_the_order_of_their_lines(tmp_path):
    found = problems(tmp_path, "[log]\nshards = 0\n[defaults]\nmode = 1\nplicy = 2\n")
    assert [problem.split(":")[0] for problem in found] == ["2", "4", "5"]


def test_the_file_may_be_missing_unless_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_settings(None, {}) == Settings()
    with pytest.raises(ConfigInvalid, match="there is no such file"):
        load_settings(tmp_path / "none.toml", {})
    with pytest.raises(ConfigInvalid, match="this is a folder"):
        load_settings(tmp_path, {})
    (tmp_path / "headgate.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigInvalid, match="not UTF-8"):
        load_settings(None, {})


def test_the_environment_overrides_urls(tmp_path):
    environment = {"HEADGATE_STATE_URL": "redis://:secret@h:7000/1"}
    settings = read(tmp_path, '[state]\nurl = "embedded:"\n', environment)
    assert settings.state.url == "redis://:secret@h:7000/1"
    assert settings.log.url == "embedded:"
    with pytest.raises(ConfigInvalid, match=r"^HEADGATE_LOG_URL: url: "):
        read(tmp_path, "", {"HEADGATE_LOG_URL": "ftp://x"})


def test_every_key_of_a_document_has_its_line():
    text = 'a = 1 # x\n[t."q.r"]\nb.c = """\n[no]\n"""\nd = [ # y\n  { e = 1, f = [2,\n 3] },\n]\n'
    text += "[[u]]\ng = '\"'\n[[u]]\ng = 2\n"
    tomllib.loads(text)
    lines = key_lines(text)
    assert lines["a",] == 1
    assert (lines["t", "q.r"], lines["t", "q.r", "b", "c"], lines["t", "q.r", "d"]) == (2, 3, 6)
    assert (lines["t", "q.r", "d", 0, "e"], lines["t", "q.r", "d", 0, "f", 1]) == (7, 8)
    assert (lines["u", 0, "g"], lines["u", 1, "g"]) == (11, 13)
