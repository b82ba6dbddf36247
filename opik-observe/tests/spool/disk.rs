//! Directories that cannot be used, and disks that are full.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use opik_core::wire::WireExporter as _;
use opik_observe::spool::{Durability, Spool, SpoolStatistics, check_directory, inspect};

use super::processes::{child, child_of};
use super::server::{Mood, Server, rows};
use super::{block_on, quick, replay};

const DOWN: Mood = Mood::Fails(opik_core::exporter::ExportErrorKind::Unavailable);

/// Puts a batch while the server is well and one while it is down.
fn try_two(directory: &Path) -> (SpoolStatistics, bool) {
    let server = Server::new(Mood::Up);
    let options = quick(Durability::SpoolOnFailure);
    let spool = Spool::open(directory, Arc::new(server.clone()), options).unwrap();
    block_on(spool.export_rows(&rows([1]))).unwrap();
    server.is(DOWN);
    let kept = block_on(spool.export_rows(&rows([2]))).is_ok();
    (spool.statistics(), kept)
}

#[test]
fn a_path_that_is_no_directory_costs_nothing_while_the_server_is_well() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"not a directory").unwrap();
    let (s, kept) = try_two(&file);
    assert!(!kept, "the recorder learns of it and repeats");
    assert_eq!((s.direct, s.refused_failed, s.appended), (1, 1, 0));
    assert!(inspect(&file).is_err());
    assert_eq!(
        inspect(directory.path().join("none")).unwrap(),
        Default::default()
    );
}

#[test]
fn a_directory_is_made_when_it_is_first_needed_and_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a/b");
    {
        let server = Arc::new(Server::new(Mood::Up));
        let spool = Spool::open(&directory, server, quick(Durability::SpoolOnFailure)).unwrap();
        block_on(spool.export_rows(&rows([1]))).unwrap();
    }
    assert!(!directory.exists());
    let (s, kept) = try_two(&directory);
    assert!(kept);
    assert_eq!((s.direct, s.appended), (1, 1));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for file in std::fs::read_dir(&directory).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{path:?}");
    }
    assert_eq!(replay(&directory), [2]);
}

#[test]
fn a_directory_is_checked_by_writing_to_it_and_nothing_stays_behind() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a/b");
    check_directory(&directory).unwrap();
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    let file = parent.path().join("file");
    std::fs::write(&file, b"not a directory").unwrap();
    check_directory(&file).unwrap_err();
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_that_changes_its_directory() {
    let server = Arc::new(Server::new(DOWN));
    let spool = Spool::open("spool", server, quick(Durability::SpoolOnFailure)).unwrap();
    std::fs::create_dir("elsewhere").unwrap();
    std::env::set_current_dir("elsewhere").unwrap();
    block_on(spool.export_rows(&rows([1]))).unwrap();
}

#[test]
fn a_relative_directory_is_that_of_the_moment_of_opening() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = child(directory.path(), "disk::child_that_changes_its_directory");
    assert!(command.output().unwrap().status.success());
    assert!(!directory.path().join("elsewhere/spool").exists());
    assert_eq!(replay(&directory.path().join("spool")), [1]);
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_that_tries_two() {
    check_directory("spool").unwrap_err();
    let (s, kept) = try_two(Path::new("spool"));
    println!(
        "\nkept {kept} direct {} refused {}",
        s.direct, s.refused_failed
    );
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_directory_without_permission_is_survived() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let directory = tempfile::tempdir().unwrap();
    let spool = directory.path().join("spool");
    std::fs::create_dir(&spool).unwrap();
    let open = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(directory.path(), open(0o755)).unwrap();
    std::fs::set_permissions(&spool, open(0o555)).unwrap();
    // Permissions are nothing to the superuser, and another user may not reach the build's folder.
    let role = "disk::child_that_tries_two";
    let output = if std::fs::metadata(&spool).unwrap().uid() == 0 {
        let program = directory.path().join("tests");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        std::fs::set_permissions(&program, open(0o755)).unwrap();
        let mut command = child_of(&program, directory.path(), role);
        command.uid(65_534).gid(65_534).output()
    } else {
        child(directory.path(), role).output()
    };
    let output = output.unwrap();
    assert!(
        text(&output).contains("kept false direct 1 refused 1"),
        "{output:?}"
    );
    std::fs::set_permissions(&spool, open(0o755)).unwrap();
}

/// Puts batches of about 9 KB until ten were put, and says how many were taken.
#[test]
#[ignore = "a child process of the other tests"]
fn child_that_fills_files() {
    let server = Arc::new(Server::new(DOWN));
    let spool = Spool::open("spool", server, quick(Durability::SpoolOnFailure)).unwrap();
    let mut taken = Vec::new();
    for number in 0..10 {
        if block_on(spool.export_rows(&rows(number * 40..number * 40 + 40))).is_ok() {
            taken.push(number);
        }
    }
    let large = block_on(spool.export_rows(&rows(1_000..1_200))).is_ok();
    let s = spool.statistics();
    let refused = s.refused_no_space;
    println!("\ntaken {} large {large} refused {refused}", taken.len());
}

#[test]
fn files_that_may_not_grow_further_are_survived_and_what_fits_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let spool = child(directory.path(), "disk::child_that_fills_files");
    // A write beyond 32 KiB stops in the middle and then fails.
    let output = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$@\"", "bash"])
        .arg(spool.get_program())
        .args(spool.get_args())
        .current_dir(directory.path())
        .output()
        .unwrap();
    let text = text(&output);
    assert!(
        text.contains("taken 10 large false refused 200"),
        "{output:?}"
    );
    let state = inspect(directory.path().join("spool")).unwrap();
    assert_eq!((state.records, state.damaged_places), (400, 0), "{state:?}");
    assert!(state.segments > 3, "{state:?}");
    let expected: Vec<u64> = (0..400).collect();
    assert_eq!(replay(&directory.path().join("spool")), expected);
}
