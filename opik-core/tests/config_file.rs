//! `~/.opik.config` as it is written: readable by the official clients and by its owner only.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use opik_core::settings::{ConfigFile, ConfigFileError, OpikSettings};

const OLD: &str = "# mine\n[other]\nkey = 1\n\n[opik]\n; why\nurl_override = http://old/api/\n\
                   sentry_enable = false\napi_key : old\n  key\n";

fn edited(path: &Path) {
    let mut file = ConfigFile::open(path).unwrap();
    file.set("url_override", "https://h/opik/api/").unwrap();
    file.set("api_key", "a#b;c%d = e").unwrap();
    file.set("workspace", "team").unwrap();
    file.remove("project_name");
    file.save().unwrap();
}

#[test]
fn an_edited_file_keeps_the_rest_and_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, OLD).unwrap();
    edited(&path);
    let text = fs::read_to_string(&path).unwrap();
    for line in [
        "# mine",
        "[other]",
        "key = 1",
        "; why",
        "sentry_enable = false",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    assert!(!text.contains("old") && !text.contains("  key"), "{text}");
    let settings = OpikSettings::builder()
        .config_path(&path)
        .load_from(&|_: &str| None);
    assert_eq!(settings.problems(), []);
    assert_eq!(settings.api_key().unwrap().expose(), "a#b;c%d = e");
    assert_eq!(settings.base_url(), Some("https://h/opik/api/"));
    assert_eq!(settings.workspace(), "team");
    // Nothing but the file itself is left behind.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn python_reads_the_same_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, OLD).unwrap();
    edited(&path);
    let script = "import configparser, sys\n\
                  c = configparser.ConfigParser(interpolation=None); c.read(sys.argv[1])\n\
                  print('|'.join(f'{k}={v}' for k, v in sorted(c['opik'].items())))";
    let python = Command::new("python3")
        .args(["-c", script])
        .arg(&path)
        .output();
    let Some(output) = python.ok().filter(|output| output.status.success()) else {
        let text = b"SKIPPED python_reads_the_same_values: python3 is missing or failed\n";
        std::io::stderr().write_all(text).unwrap();
        assert!(Command::new("python3").arg("--version").output().is_err());
        return;
    };
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim(),
        "api_key=a#b;c%d = e|sentry_enable=false|url_override=https://h/opik/api/|workspace=team"
    );
}

#[cfg(unix)]
#[test]
fn only_its_owner_can_read_it_and_a_link_stays_one() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::write(&real, OLD).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
    symlink(&real, &link).unwrap();
    edited(&link);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains("team"));
    assert_eq!(
        fs::metadata(&real).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn what_cannot_be_written_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("taken");
    let mut file = ConfigFile::open(&path).unwrap();
    for value in ["two\nlines", " space", "tab\tinside"] {
        let error = file.set("api_key", value).unwrap_err();
        assert!(matches!(error, ConfigFileError::Value { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains(value));
    }
    // Someone makes a directory of that name meanwhile.
    fs::create_dir(&path).unwrap();
    fs::write(path.join("inside"), "").unwrap();
    file.set("workspace", "w").unwrap();
    assert!(matches!(file.save(), Err(ConfigFileError::Write(_))));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = ConfigFile::open(folder.path().join("no/folder")).unwrap();
    assert!(matches!(nowhere.save(), Err(ConfigFileError::Write(_))));
}

/// Both ways: what is written here the official client reads, and what it writes is read here.
///
/// Needs a Python that has the package `opik`, named by `OPIK_SDK_PYTHON`.
#[test]
fn the_official_client_and_this_one_share_the_file() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the machine says where its Python is"
    )]
    let Some(python) = std::env::var_os("OPIK_SDK_PYTHON") else {
        let text = b"SKIPPED the_official_client_and_this_one_share_the_file: \
                     OPIK_SDK_PYTHON names no Python with the package opik\n";
        std::io::stderr().write_all(text).unwrap();
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let mut file = ConfigFile::open(&path).unwrap();
    for (key, value) in [
        ("url_override", "https://h/opik/api/"),
        ("api_key", "a%b#c"),
        ("workspace", "team"),
        ("project_name", "späte Lieferung"),
    ] {
        file.set(key, value).unwrap();
    }
    file.save().unwrap();
    let script = "from opik.config import OpikConfig\n\
                  c = OpikConfig()\n\
                  print(c.url_override, c.api_key, c.workspace, c.project_name)\n\
                  c.workspace = 'other'\n\
                  c.save_to_file()\n";
    let output = Command::new(python)
        .args(["-c", script])
        .env("OPIK_CONFIG_PATH", &path)
        .env("OPIK_SENTRY_ENABLE", "false")
        .env("OPIK_ANALYTICS_ENABLE", "false")
        .env("PYTHONUTF8", "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let expected = "https://h/opik/api/ a%b#c team späte Lieferung";
    assert_eq!(printed.lines().next(), Some(expected), "{output:?}");
    let settings = OpikSettings::builder()
        .config_path(&path)
        .load_from(&|_: &str| None);
    assert_eq!(settings.problems(), []);
    assert_eq!(settings.workspace(), "other");
    assert_eq!(settings.project_name(), "späte Lieferung");
    assert_eq!(settings.api_key().unwrap().expose(), "a%b#c");
}
