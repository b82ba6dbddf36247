//! Precedence, safe choices, and what no environment can do.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;

use proptest::prelude::*;

use super::*;

type Variables = HashMap<String, OsString>;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), OsString::from(value));
    pairs.iter().map(pair).collect()
}

fn load(variables: &Variables) -> OpikSettings {
    OpikSettings::builder().load_from(&|name: &str| variables.get(name).cloned())
}

fn loaded(pairs: &[(&str, &str)]) -> OpikSettings {
    load(&variables(pairs))
}

/// Settings with a file of this content.
fn with_file(content: &[u8], pairs: &[(&str, &str)]) -> OpikSettings {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".opik.config"), content).unwrap();
    let mut variables = variables(pairs);
    variables.insert("HOME".to_owned(), folder.path().into());
    variables.insert("USERPROFILE".to_owned(), folder.path().into());
    load(&variables)
}

fn texts(settings: &OpikSettings) -> Vec<String> {
    settings
        .problems()
        .iter()
        .map(ToString::to_string)
        .collect()
}

const URL: (&str, &str) = ("OPIK_URL_OVERRIDE", "http://h/api");
const ON: (&str, &str) = ("OPIK_ENABLED", "true");

#[test]
fn nothing_is_on_by_default_nor_by_an_official_configuration_alone() {
    assert_eq!(loaded(&[]).off(), Some(Off::NotEnabled));
    assert_eq!(loaded(&[URL]).off(), Some(Off::NotEnabled));
    let file = b"[opik]\nurl_override = http://h/api/\napi_key = k\nenabled = true\n";
    let by_file = with_file(file, &[]);
    assert_eq!(by_file.off(), Some(Off::NotEnabled));
    assert!(matches!(&texts(&by_file)[..], [one] if one.contains(":4: no setting has this name")));
    assert!(with_file(file, &[ON]).is_on());
    assert!(loaded(&[ON, URL]).is_on());
    let nowhere = loaded(&[ON, ("HOME", "/nowhere"), ("USERPROFILE", "/nowhere")]);
    assert_eq!(nowhere.off(), Some(Off::NoServer));
    assert!(matches!(&texts(&nowhere)[..], [one] if one.starts_with("OPIK_ENABLED: it is on")));
    assert_eq!(
        loaded(&[ON, URL, ("OPIK_TRACK_DISABLE", "1")]).off(),
        Some(Off::TrackDisabled)
    );
    for (text, on) in [
        (" On ", true),
        ("YES", true),
        ("1", true),
        ("off", false),
        ("", false),
    ] {
        assert_eq!(loaded(&[("OPIK_ENABLED", text), URL]).is_on(), on, "{text}");
    }
    let bad = loaded(&[("OPIK_ENABLED", "enable"), URL]);
    assert_eq!(
        (bad.off(), bad.problems().len()),
        (Some(Off::NotEnabled), 1)
    );
    let bad = loaded(&[ON, URL, ("OPIK_TRACK_DISABLE", "maybe")]);
    assert_eq!(
        (bad.off(), bad.problems().len()),
        (Some(Off::TrackDisabled), 1)
    );
}

#[test]
fn the_program_comes_before_variables_and_these_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let file = "[opik]\nurl_override = http://file/api/\nworkspace = w\nproject_name = of-file\n\
                api_key = k#;y\ncheck_tls_certificate = no\n";
    std::fs::write(&path, file).unwrap();
    let variables = variables(&[
        ("OPIK_CONFIG_PATH", path.to_str().unwrap()),
        ("OPIK_URL_OVERRIDE", "https://variable/opik/api"),
        ("OPIK_PROJECT_NAME", "of-variable"),
        ("OPIK_WORKSPACE", "  "),
        ("OPIK_ENABLED", "no"),
    ]);
    let settings = OpikSettings::builder()
        .enabled(true)
        .project_name("of-program")
        .load_from(&|name: &str| variables.get(name).cloned());
    assert!(settings.is_on());
    assert_eq!(settings.project_name(), "of-program");
    assert_eq!(settings.base_url(), Some("https://variable/opik/api/"));
    assert_eq!(settings.workspace(), "w");
    assert_eq!(settings.api_key().unwrap().expose(), "k#;y");
    assert!(!settings.check_tls() && settings.compression());
    let at = |line| Origin::File {
        path: path.clone(),
        line,
    };
    for (setting, origin) in [
        (Setting::Enabled, Origin::Argument),
        (Setting::ProjectName, Origin::Argument),
        (Setting::BaseUrl, Origin::Variable("OPIK_URL_OVERRIDE")),
        (Setting::Workspace, at(3)),
        (Setting::ApiKey, at(5)),
        (Setting::CheckTls, at(6)),
        (Setting::Compression, Origin::Default),
    ] {
        assert_eq!(settings.origin(setting), &origin, "{setting}");
    }
    assert_eq!(texts(&settings), [""; 0]);
    assert_eq!(
        settings.origin(Setting::ApiKey).to_string(),
        format!("{}:5", path.display())
    );
}

#[test]
fn the_variables_of_vyasa_mean_what_they_mean_there() {
    let settings = loaded(&[
        ON,
        ("OPIK_BASE_URL", "http://127.0.0.1:56500/"),
        ("OPIK_TIMEOUT_SECONDS", " 2.5 "),
    ]);
    assert!(settings.is_on());
    assert_eq!(settings.base_url(), Some("http://127.0.0.1:56500/api/"));
    assert_eq!(settings.project_name(), "vyasa");
    assert_eq!(settings.timeout(), Duration::from_millis(2_500));
    let whole = loaded(&[
        ("OPIK_BASE_URL", "http://h/opik/api"),
        ("OPIK_PROJECT_NAME", "own"),
    ]);
    assert_eq!(whole.base_url(), Some("http://h/opik/api/"));
    assert_eq!(whole.project_name(), "own");
    // An empty name is no name.
    let empty = loaded(&[("OPIK_BASE_URL", "http://h"), ("OPIK_PROJECT_NAME", "")]);
    assert_eq!(empty.project_name(), "vyasa");
    assert_eq!(loaded(&[ON]).project_name(), "vyasa");
    assert_eq!(loaded(&[ON, URL]).project_name(), "Default Project");
    assert_eq!(
        loaded(&[ON, ("OPIK_API_KEY", "k")]).project_name(),
        "Default Project"
    );
    assert_eq!(loaded(&[]).timeout(), Duration::from_secs(2));
}

#[test]
fn of_two_addresses_the_official_one_counts_and_the_other_is_mentioned() {
    let both = loaded(&[URL, ("OPIK_BASE_URL", "http://other")]);
    assert_eq!(both.base_url(), Some("http://h/api/"));
    assert_eq!(
        texts(&both),
        ["OPIK_BASE_URL: OPIK_URL_OVERRIDE is set too; it is not looked at"]
    );
    assert_eq!(
        texts(&loaded(&[URL, ("OPIK_BASE_URL", "http://h")])),
        [""; 0]
    );
    // A bad address does not fall through to the other one.
    let bad = loaded(&[
        ON,
        ("OPIK_URL_OVERRIDE", "h"),
        ("OPIK_BASE_URL", "http://other"),
    ]);
    assert_eq!((bad.off(), bad.base_url()), (Some(Off::Unusable), None));
}

#[test]
fn the_server_is_known_from_the_key_when_nothing_else_names_it() {
    let key = loaded(&[ON, ("OPIK_API_KEY", "k\n")]);
    assert_eq!(key.base_url(), Some("https://www.comet.com/opik/api/"));
    assert_eq!(key.api_key().unwrap().expose(), "k");
    let packed = "k*eyJiYXNlVXJsIjogImh0dHBzOi8vb3Bpay5leGFtcGxlLmNvbSJ9";
    let named = loaded(&[ON, ("OPIK_API_KEY", packed)]);
    assert_eq!(named.base_url(), Some("https://opik.example.com/opik/api/"));
    assert_eq!(
        loaded(&[ON, ("OPIK_API_KEY", "k*?")]).off(),
        Some(Off::Unusable)
    );
    assert!(loaded(&[ON, URL, ("OPIK_API_KEY", "k*?")]).is_on());
    // A file that cannot be understood may have named another server for this key.
    let key = [ON, ("OPIK_API_KEY", "k")];
    assert_eq!(
        with_file(b"[opik]\nurl_override http://h\n", &key).off(),
        Some(Off::Unusable)
    );
    let missing = [
        ON,
        ("OPIK_API_KEY", "k"),
        ("OPIK_CONFIG_PATH", "/nowhere/at/all"),
    ];
    assert_eq!(loaded(&missing).off(), Some(Off::Unusable));
    assert_eq!(
        with_file(b"[opik]\nbase_url = http://h\n", &key).off(),
        Some(Off::Unusable)
    );
    assert!(with_file(b"# nothing\n[opik]\nlogging_file = x\n", &key).is_on());
}

#[test]
fn bad_values_lead_to_safe_choices_and_are_not_repeated() {
    let settings = loaded(&[
        ON,
        ("OPIK_URL_OVERRIDE", "http://me:hunter22@h"),
        ("OPIK_API_KEY", "hunter23\u{1F511}"),
        ("OPIK_WORKSPACE", "hunter24\u{7f}x"),
        ("OPIK_TIMEOUT_SECONDS", "hunter25"),
        ("OPIK_CHECK_TLS_CERTIFICATE", "hunter26"),
        ("OPIK_MAX_PAYLOAD_SIZE_MB", "hunter27"),
        ("OPIK_SPOOL_MODE", "hunter28"),
        ("OPIK_PROJECT_NAME", "hunter29\n"),
        ("OPIK_ENVIRONMENT", "hunter30\0x"),
    ]);
    assert_eq!(settings.off(), Some(Off::Unusable));
    assert_eq!((settings.base_url(), settings.api_key()), (None, None));
    assert_eq!(settings.timeout(), Duration::from_secs(2));
    assert!(settings.check_tls());
    assert_eq!(settings.max_payload_bytes(), 20 << 20);
    assert_eq!(settings.spool_mode(), SpoolMode::Memory);
    // The line break at the end is no part of the name.
    assert_eq!(settings.project_name(), "hunter29");
    assert_eq!(settings.environment(), None);
    assert_eq!(settings.problems().len(), 8, "{:#?}", texts(&settings));
    let shown = format!("{:?} {}", settings.problems(), texts(&settings).join("\n"));
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn the_key_is_shown_nowhere() {
    let settings = loaded(&[ON, URL, ("OPIK_API_KEY", "hunter22")]);
    let mut shown = format!(
        "{settings:?} {:?}",
        OpikSettings::builder().api_key("hunter22")
    );
    for setting in Setting::ALL {
        shown += &settings.shown(setting).unwrap_or_default();
    }
    assert!(!shown.contains("hunter"), "{shown}");
    assert_eq!(
        settings.shown(Setting::ApiKey).as_deref(),
        Some("set (not shown)")
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_and_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let huge = folder.path().join("huge");
    std::fs::File::create(&huge)
        .unwrap()
        .set_len(2 << 20)
        .unwrap();
    let cases = [
        (folder.path().to_owned(), "not a regular file"),
        (huge, "larger than"),
        (folder.path().join("none"), "no such file"),
        ("~/x".into(), "no such file"),
        (Path::new("/dev/zero").to_owned(), "not a regular file"),
    ];
    for (path, word) in cases {
        let settings = loaded(&[ON, URL, ("OPIK_CONFIG_PATH", path.to_str().unwrap())]);
        assert!(settings.is_on(), "{path:?}");
        let problems = texts(&settings);
        assert!(
            matches!(&problems[..], [one] if one.contains(word)),
            "{path:?}: {problems:?}"
        );
    }
    // Nobody asked for the default file, so it may be missing.
    assert_eq!(texts(&loaded(&[("HOME", "/nowhere")])), [""; 0]);
    assert_eq!(loaded(&[]).config_path(), None);
}

#[test]
fn a_spool_needs_a_directory_and_is_used_on_failure_unless_said_otherwise() {
    let memory = loaded(&[("OPIK_SPOOL_MODE", "write_ahead")]);
    assert_eq!(
        (memory.spool_mode(), memory.problems().len()),
        (SpoolMode::Memory, 1)
    );
    let spool = loaded(&[("OPIK_SPOOL_DIR", "~/spool"), ("HOME", "/home/me")]);
    assert_eq!(spool.spool_mode(), SpoolMode::SpoolOnFailure);
    assert_eq!(spool.spool_directory(), Some(Path::new("/home/me/spool")));
    let mode = loaded(&[("OPIK_SPOOL_DIR", "/s"), ("OPIK_SPOOL_MODE", "Write_Ahead")]);
    assert_eq!(mode.spool_mode(), SpoolMode::WriteAhead);
}

#[test]
fn every_setting_has_a_name_and_every_variable_one_setting() {
    let mut names: Vec<_> = Setting::ALL.iter().map(|setting| setting.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Setting::ALL.len());
    for setting in Setting::ALL {
        for variable in setting.variables() {
            assert!(Setting::is_known_variable(variable), "{variable}");
            assert_eq!(Setting::ignored_variable(variable), None, "{variable}");
        }
    }
    assert!(!Setting::is_known_variable("OPIK_APIKEY"));
    assert!(Setting::ignored_variable("OPIK_SENTRY_ENABLE").is_some());
}

#[test]
fn the_documentation_has_every_variable_and_key() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/configuration.md");
    // A packaged crate comes without the book.
    let Ok(page) = std::fs::read_to_string(page) else {
        return;
    };
    for setting in Setting::ALL {
        let names = setting.variables().iter().copied();
        for name in names.chain(setting.file_key()) {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
    // And nothing that is neither a setting nor known to be without effect.
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '_' | '*');
    let words = page.split(|c: char| !is_part(c));
    for name in words.filter(|word| word.starts_with("OPIK_") && !word.ends_with('*')) {
        let known = Setting::is_known_variable(name) || Setting::ignored_variable(name).is_some();
        assert!(known, "{name}");
    }
}

#[cfg(unix)]
fn any_value() -> impl Strategy<Value = OsString> {
    use std::os::unix::ffi::OsStringExt;
    let bytes = proptest::collection::vec(1_u8.., 0..40).prop_map(OsString::from_vec);
    prop_oneof![3 => likely_value(), 1 => bytes]
}

#[cfg(not(unix))]
fn any_value() -> impl Strategy<Value = OsString> {
    likely_value()
}

fn likely_value() -> impl Strategy<Value = OsString> {
    let likely = proptest::sample::select(vec![
        "",
        " ",
        "true",
        "TRUE",
        "on",
        "0",
        "no",
        "2.5",
        "-1",
        "NaN",
        "http://h/api",
        "http://h:1",
        "http://me:pw@h",
        "https://h/?x",
        "h",
        "k*e30=",
        "write_ahead",
        "memory",
        "/tmp",
        "~",
        "9".repeat(400).leak(),
    ]);
    prop_oneof![
        likely.prop_map(OsString::from),
        "\\PC{0,30}".prop_map(OsString::from)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_environment_and_no_file_can_do_harm(
        values in proptest::collection::vec(proptest::option::of(any_value()), Setting::ALL.len() + 1),
        file in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            "(\\[opik\\]\n)?([ ]?[a-z_]{1,9} ?[=:]?[^\n]{0,20}\n){0,8}".prop_map(String::into_bytes),
            "\\[opik\\]\n(url_override|api_key|workspace|track_disable|project_name) = [^\n]{0,20}\n"
                .prop_map(String::into_bytes),
        ],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".opik.config");
        std::fs::write(&path, &file).unwrap();
        let names = Setting::ALL.iter().flat_map(|setting| setting.variables());
        let mut variables: Variables = names
            .zip(values)
            .filter_map(|(name, value)| Some(((*name).to_owned(), value?)))
            .collect();
        variables.insert("OPIK_CONFIG_PATH".to_owned(), path.into());
        let settings = load(&variables);

        if settings.is_on() {
            let stated = variables.get("OPIK_ENABLED").unwrap().to_str().unwrap();
            prop_assert!(parse::switch(stated.trim()) == Ok(true));
            prop_assert!(parse::address(settings.base_url().unwrap()).is_ok());
        }
        prop_assert!(parse::is_wait(&settings.timeout()) && parse::is_wait(&settings.flush_timeout()));
        prop_assert!(parse::header(settings.workspace()).is_ok());
        prop_assert!(parse::name(settings.project_name()).is_ok());
        prop_assert!(settings.spool_directory().is_some() || settings.spool_mode() == SpoolMode::Memory);
        let mut shown = format!("{settings:?} {}", texts(&settings).join("\n"));
        for setting in Setting::ALL {
            if setting != Setting::ProjectName {
                shown += &settings.shown(setting).unwrap_or_default();
            }
        }
        if let Some(key) = settings.api_key() {
            prop_assert!(parse::header(key.expose()).is_ok());
            let debug = format!("{:?}", settings.api_key);
            prop_assert!(debug.contains("Secret(***)"));
        }
    }
}
