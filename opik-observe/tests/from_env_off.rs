//! Without `OPIK_ENABLED` no thread starts and nobody is asked. A test of its own process, which
//! counts the threads.
#![cfg(feature = "rest")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use opik_core::settings::{Off, OpikSettings};
use opik_observe::from_settings;

/// How many threads this process has. They count from the moment at which they are made; their
/// names come later.
#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn off_means_no_thread_and_no_connection() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let url = format!("http://{}/api", server.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let load = |enabled: Option<&str>| {
        OpikSettings::builder().load_from(&|name: &str| match name {
            "OPIK_ENABLED" => enabled.map(Into::into),
            "OPIK_URL_OVERRIDE" => Some(url.clone().into()),
            "OPIK_API_KEY" => Some("key".into()),
            "OPIK_SPOOL_DIR" => Some(spool.clone().into()),
            _ => None,
        })
    };
    #[cfg(target_os = "linux")]
    let before = threads();
    for enabled in [None, Some(""), Some("false"), Some("enabled")] {
        let opik = from_settings(load(enabled));
        assert!(!opik.recorder.is_enabled());
        assert_eq!(opik.settings.off(), Some(Off::NotEnabled));
        assert!(opik.client.is_none() && opik.spool.is_none());
        opik.recorder.trace("t").end();
        #[cfg(target_os = "linux")]
        assert_eq!(threads(), before);
        assert!(opik.guard.shutdown(Duration::from_secs(60)).complete);
    }
    assert_eq!(server.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(!spool.exists());

    // The same measures see a recorder that is on.
    let opik = from_settings(load(Some("true")));
    assert!(opik.recorder.is_enabled());
    #[cfg(target_os = "linux")]
    assert!(threads() >= before + 2, "{}", threads());
}
