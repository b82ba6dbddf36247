//! The folder with everything of a stack: data, secrets, compose files.
//!
//! | what | holds |
//! |---|---|
//! | `opik/` | the recorder's store, and its log where there is no Docker |
//! | `postgres/` | the conversations of the assistant |
//! | `secrets.env` | the key and the password, made once; for its owner only |
//! | `recorder.env` | variables of the recorder, yours to change |
//! | `compose.*.yaml`, `image/` | written anew at every start |

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use opik_core::Secret;

use crate::exit::{Code, Failure};

const SECRETS: &str = "secrets.env";
const KEY: &str = "OPIK_SERVER_API_KEY";
const PASSWORD: &str = "OPIK_POSTGRES_PASSWORD";
const COMPOSE: &str = include_str!("files/compose.opik.yaml");
const BUILD: &str = include_str!("files/compose.build.yaml");
const VYASA: &str = include_str!("files/compose.vyasa.yaml");
const DOCKERFILE: &str = include_str!("files/Dockerfile");

/// What only the services and their owner know.
#[derive(Debug)]
pub(super) struct Secrets {
    pub(super) key: Secret,
    pub(super) password: Secret,
}

/// The folder of a stack.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder, by its absolute path.
    pub(super) fn new(path: &Path) -> Result<Self, Failure> {
        let absolute = std::path::absolute(path)
            .map_err(|error| Failure::new(Code::Usage, "the folder has no path").cause(error))?;
        Ok(Self(absolute))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn root(&self) -> &Path {
        &self.0
    }

    /// The secrets' file.
    pub(super) fn secrets_file(&self) -> PathBuf {
        self.path(SECRETS)
    }

    /// Makes what is missing. Everything belongs to whoever runs this, so that no container has to
    /// make a folder of its own.
    pub(super) fn make(&self) -> Result<(), Failure> {
        for name in ["", "opik", "postgres", "image"] {
            let folder = self.path(name);
            private_folder(&folder).map_err(|error| {
                Failure::new(
                    Code::Failed,
                    format!("cannot make the folder {}", folder.display()),
                )
                .cause(error)
                .hint("--data FOLDER, or OPIK_STACK_DATA, names one that you can write to")
            })?;
            // What a container or another user made before is no use to anybody now.
            let probe = tempfile::NamedTempFile::new_in(&folder);
            probe.map_err(|error| {
                let text = format!("cannot write in the folder {}", folder.display());
                Failure::new(Code::Failed, text).cause(error).hint(format!(
                    "it belongs to somebody else: sudo chown -R \"$(id -u):$(id -g)\" {}",
                    folder.display()
                ))
            })?;
        }
        let own = self.path("recorder.env");
        if !own.exists() {
            write_private(
                &own,
                "# Variables of the recorder, NAME=value, read when it starts.\n",
            )
            .map_err(|error| unwritable(&own, error))?;
        }
        Ok(())
    }

    /// Reads the secrets, and makes those that are missing.
    pub(super) fn secrets(&self) -> Result<Secrets, Failure> {
        let path = self.secrets_file();
        let mut known = match fs::read_to_string(&path) {
            Ok(text) => read(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                let text = format!("cannot read {}", path.display());
                return Err(Failure::new(Code::Failed, text).cause(error));
            }
        };
        let mut made = false;
        for name in [KEY, PASSWORD] {
            if known.get(name).is_none_or(|value| value.trim().is_empty()) {
                known.insert(name.to_owned(), random()?);
                made = true;
            }
        }
        if made {
            let lines: String = known
                .iter()
                .map(|(name, value)| format!("{name}={value}\n"))
                .collect();
            write_private(&path, &lines).map_err(|error| unwritable(&path, error))?;
        }
        let mut take = |name: &str| Secret::new(known.remove(name).unwrap_or_default());
        Ok(Secrets {
            key: take(KEY),
            password: take(PASSWORD),
        })
    }

    /// Writes the compose files, and what the image is made of where this program makes it.
    pub(super) fn write_compose(&self, builds: bool) -> Result<(), Failure> {
        for (name, text) in [
            ("compose.opik.yaml", COMPOSE),
            ("compose.build.yaml", BUILD),
            ("compose.vyasa.yaml", VYASA),
            ("image/Dockerfile", DOCKERFILE),
        ] {
            let path = self.path(name);
            if fs::read_to_string(&path).ok().as_deref() != Some(text) {
                fs::write(&path, text).map_err(|error| unwritable(&path, error))?;
            }
        }
        if builds {
            let to = self.path("image/opik-rs");
            std::env::current_exe()
                .and_then(|own| copy_if_other(&own, &to))
                .map_err(|error| unwritable(&to, error))?;
        }
        Ok(())
    }

    /// User and group that the folder belongs to, which the services run as.
    pub(super) fn owner(&self) -> (u32, u32) {
        #[cfg(unix)]
        if let Ok(data) = fs::metadata(&self.0) {
            use std::os::unix::fs::MetadataExt as _;
            return (data.uid(), data.gid());
        }
        (1_000, 1_000)
    }
}

fn unwritable(path: &Path, error: io::Error) -> Failure {
    Failure::new(Code::Failed, format!("cannot write {}", path.display())).cause(error)
}

fn read(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.trim().split_once('='))
        .filter(|(name, _)| !name.starts_with('#'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// 32 random bytes in letters and digits that need no quotes anywhere.
fn random() -> Result<String, Failure> {
    let mut bytes = [0_u8; 32];
    let mut source = || -> io::Result<()> {
        use std::io::Read as _;
        fs::File::open("/dev/urandom")?.read_exact(&mut bytes)
    };
    source().map_err(|error| {
        Failure::new(Code::Failed, "there is no source of chance for secrets").cause(error)
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Writes a file that only its owner can read, in one step.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Files of this crate are for their owner only.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Copies a program unless it is there already.
fn copy_if_other(from: &Path, to: &Path) -> io::Result<()> {
    let (new, old) = (fs::metadata(from)?, fs::metadata(to).ok());
    let is_same = old.is_some_and(|old| {
        old.len() == new.len()
            && matches!((old.modified(), new.modified()), (Ok(old), Ok(new)) if old >= new)
    });
    if is_same {
        return Ok(());
    }
    let part = to.with_extension("part");
    fs::copy(from, &part)?;
    fs::rename(&part, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_are_for_their_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(&dir.path().join("stack")).unwrap();
        folder.make().unwrap();
        let first = folder.secrets().unwrap();
        let again = folder.secrets().unwrap();
        assert_eq!(first.key.expose(), again.key.expose());
        assert_eq!(first.key.expose().len(), 64);
        assert_ne!(first.key.expose(), first.password.expose());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&folder.secrets_file()), 0o600);
            assert_eq!(mode(folder.root()), 0o700);
        }
        // A secret that was chosen by hand stays.
        fs::write(folder.secrets_file(), "OPIK_SERVER_API_KEY=mine\n").unwrap();
        assert_eq!(folder.secrets().unwrap().key.expose(), "mine");
        let text = fs::read_to_string(folder.secrets_file()).unwrap();
        assert!(text.contains("OPIK_POSTGRES_PASSWORD="), "{text}");
    }

    #[test]
    fn compose_files_are_whole_and_publish_to_this_machine_only() {
        let ports = COMPOSE
            .lines()
            .filter(|line| line.contains(":5000\"") || line.contains(":5432\""));
        let ports: Vec<&str> = ports.map(str::trim).collect();
        assert_eq!(ports.len(), 2, "{ports:?}");
        assert!(
            ports.iter().all(|line| line.starts_with("- \"127.0.0.1:")),
            "{ports:?}"
        );
        assert!(!COMPOSE.contains("redis"));
    }
}
