//! Real database servers for tests: PostgreSQL and MariaDB on private ports and in private folders.
//!
//! A server ends with the process that started it, also when that process panics or is killed: its
//! parent is a shell that waits for the end of a pipe. Nothing is installed and no service of the
//! machine is touched.
//!
//! When the programs of a server are missing, a test says so by name and is skipped; with
//! `OPIK_REQUIRE_DATABASES=1` in the environment it fails instead.
//!
//! ```no_run
//! use opik_testkit::databases::{DatabaseServer, Engine};
//!
//! # fn run() -> std::io::Result<()> {
//! let Some(server) = DatabaseServer::shared(Engine::MariaDb, "my_test")? else {
//!     return Ok(());
//! };
//! let database = server.database()?;
//! println!("{}", database.uri());
//! # Ok(())
//! # }
//! ```

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::doubles::free_port;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// MariaDB, which stands for MySQL too.
    MariaDb,
    /// PostgreSQL.
    Postgres,
}

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// The name and the password of the user in the addresses of databases.
const USER: &str = "opik";
const PASSWORD: &str = "opik-secret";

/// Runs a server as its child and ends it with the pipe: at the word `keep` the folder stays.
const WATCH: &str = r#"
folder="$1"; signal="$2"; shift 2
"$@" >>"$folder/log" 2>&1 &
server=$!
read -r word
kill -s "$signal" "$server" 2>/dev/null
wait "$server" 2>/dev/null
[ "$word" = keep ] || rm -rf "$folder"
"#;

/// A running server.
#[derive(Debug)]
pub struct DatabaseServer {
    engine: Engine,
    folder: PathBuf,
    port: u16,
    arguments: Vec<String>,
    watch: Mutex<Option<Child>>,
    databases: AtomicU32,
}

/// A fresh database on a server.
#[derive(Debug)]
pub struct Database<'a> {
    server: &'a DatabaseServer,
    name: String,
}

static MARIADB: Mutex<Option<&'static DatabaseServer>> = Mutex::new(None);
static POSTGRES: Mutex<Option<&'static DatabaseServer>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "MariaDB",
            Self::Postgres => "PostgreSQL",
        }
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::MariaDb => &["mariadbd", "mariadb-install-db", "mariadb"],
            Self::Postgres => &["postgres", "initdb", "psql"],
        }
    }

    /// What ends it at once: PostgreSQL has to end its own children.
    fn signal(self) -> &'static str {
        match self {
            Self::MariaDb => "KILL",
            Self::Postgres => "QUIT",
        }
    }
}

/// Where a program is: on the path, or where Debian puts servers.
fn find(program: &str) -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "where programs are is in the environment only"
    )]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    folders
        .into_iter()
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn program(name: &str) -> io::Result<PathBuf> {
    find(name).ok_or_else(|| io::Error::other(format!("{name} is missing")))
}

fn succeed(what: &str, output: &Output) -> io::Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{what}: {}", text.trim())))
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

impl DatabaseServer {
    /// The server that all tests of this process share; `None`, with a word about the test that is
    /// skipped, when its programs are missing.
    ///
    /// # Errors
    /// When the programs are there and the server does not start all the same, or when they are
    /// missing and `OPIK_REQUIRE_DATABASES` is 1.
    pub fn shared(engine: Engine, test: &str) -> io::Result<Option<&'static Self>> {
        let mut shared = lock(match engine {
            Engine::MariaDb => &MARIADB,
            Engine::Postgres => &POSTGRES,
        });
        if let Some(server) = *shared {
            return Ok(Some(server));
        }
        let Some(server) = Self::start(engine, test, &[])? else {
            return Ok(None);
        };
        // It lives as long as the process, and the shell notices the end of that.
        let server: &'static Self = Box::leak(Box::new(server));
        *shared = Some(server);
        Ok(Some(server))
    }

    /// Starts a server of one's own, with more arguments for it.
    ///
    /// # Errors
    /// As [`shared`](Self::shared).
    pub fn start(engine: Engine, test: &str, arguments: &[&str]) -> io::Result<Option<Self>> {
        let missing = engine.programs().iter().find(|name| find(name).is_none());
        if let Some(missing) = missing {
            let text = format!(
                "{test}: {missing}, a program of {}, is missing",
                engine.name()
            );
            #[expect(
                clippy::disallowed_methods,
                reason = "said to the tests by the machine"
            )]
            if std::env::var("OPIK_REQUIRE_DATABASES").is_ok_and(|value| value == "1") {
                return Err(io::Error::other(text));
            }
            // Past the test harness, which hides what passing tests print.
            writeln!(io::stderr(), "SKIPPED {text}")?;
            return Ok(None);
        }
        let folder = tempfile::Builder::new()
            .prefix("opik-db-")
            .tempdir()?
            .keep();
        let server = Self {
            engine,
            folder,
            port: free_port()?,
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            watch: Mutex::new(None),
            databases: AtomicU32::new(0),
        };
        server.initialise()?;
        server.restart()?;
        Ok(Some(server))
    }

    fn initialise(&self) -> io::Result<()> {
        let data = self.folder.join("data");
        match self.engine {
            Engine::MariaDb => {
                fs::write(self.folder.join("init.sql"), mariadb_users())?;
                let output = Command::new(program("mariadb-install-db")?)
                    // Temporary tables of two servers that start at once may have one name.
                    .env("TMPDIR", &self.folder)
                    .args(["--no-defaults", "--auth-root-authentication-method=normal"])
                    .args(["--skip-test-db", "--innodb-log-file-size=8M"])
                    .arg(format!("--datadir={}", data.display()))
                    .args(is_root().then_some("--user=root"))
                    .args(
                        self.arguments
                            .iter()
                            .filter(|text| text.starts_with("--innodb")),
                    )
                    .output()?;
                succeed("mariadb-install-db", &output).map(drop)
            }
            Engine::Postgres => {
                fs::create_dir(&data)?;
                if is_root() {
                    let mut owner = Command::new("chown");
                    owner.arg("-R").arg("postgres").arg(&self.folder);
                    succeed("chown", &owner.output()?)?;
                }
                let output = self
                    .as_postgres(&program("initdb")?)
                    .args([
                        "-U",
                        "postgres",
                        "-A",
                        "trust",
                        "-E",
                        "UTF8",
                        "--locale=C",
                        "-N",
                        "-D",
                    ])
                    .arg(&data)
                    .current_dir(&self.folder)
                    .output()?;
                succeed("initdb", &output).map(drop)
            }
        }
    }

    /// PostgreSQL refuses to run as root.
    fn as_postgres(&self, program: &Path) -> Command {
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(program)
            .current_dir(&self.folder);
        command
    }

    fn command(&self) -> io::Result<Command> {
        let data = self.folder.join("data");
        let socket = self.folder.join("socket");
        let mut command = match self.engine {
            Engine::MariaDb => {
                let mut command = Command::new(program("mariadbd")?);
                command
                    .arg("--no-defaults")
                    .arg(format!("--datadir={}", data.display()))
                    .arg(format!("--socket={}", socket.display()))
                    .arg(format!("--pid-file={}", self.folder.join("pid").display()))
                    .arg(format!(
                        "--init-file={}",
                        self.folder.join("init.sql").display()
                    ))
                    .arg(format!("--port={}", self.port))
                    .args([
                        "--bind-address=127.0.0.1",
                        "--skip-name-resolve",
                        "--skip-log-bin",
                    ])
                    .args([
                        // A commit survives the end of the process, though not that of the machine.
                        "--innodb-flush-log-at-trx-commit=2",
                        "--innodb-log-file-size=8M",
                    ])
                    .args(["--innodb-buffer-pool-size=32M", "--performance-schema=OFF"])
                    .args(["--character-set-server=utf8mb4", "--max-connections=300"])
                    .args(["--collation-server=utf8mb4_unicode_ci"])
                    .args(is_root().then_some("--user=root"));
                command
            }
            Engine::Postgres => {
                let mut command = self.as_postgres(&program("postgres")?);
                command
                    .arg("-D")
                    .arg(&data)
                    .args(["-p", &self.port.to_string(), "-k"])
                    .arg(&self.folder)
                    .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
                    .args(["-c", "full_page_writes=off", "-c", "max_connections=300"])
                    .args(["-c", "shared_buffers=32MB"]);
                command
            }
        };
        command.args(&self.arguments);
        Ok(command)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it again after [`kill`](Self::kill), on the same port and with the same data.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn restart(&self) -> io::Result<()> {
        let command = self.command()?;
        let mut watch = lock(&self.watch);
        if watch.is_some() {
            return Ok(());
        }
        let child = Command::new("sh")
            .args(["-c", WATCH, "sh"])
            .arg(&self.folder)
            .arg(self.engine.signal())
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(&self.folder)
            .env("TMPDIR", &self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        *watch = Some(child);
        drop(watch);
        let begin = Instant::now();
        while let Err(error) = self.run(None, "SELECT 1") {
            if begin.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                let name = self.engine.name();
                return Err(io::Error::other(format!(
                    "{name} does not start: {error}\n{log}"
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Ends it at once, as a crash would, and waits until it is gone. Its data stays.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&self) -> io::Result<()> {
        let Some(mut child) = lock(&self.watch).take() else {
            return Ok(());
        };
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(b"keep\n")?;
        }
        child.wait().map(drop)
    }

    /// Makes a fresh database.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database(&self) -> io::Result<Database<'_>> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("opik_{number}");
        match self.engine {
            Engine::MariaDb => self.run(None, &format!("CREATE DATABASE {name}"))?,
            Engine::Postgres => {
                self.run(None, &format!("CREATE DATABASE {name} TEMPLATE template0"))?
            }
        };
        Ok(Database { server: self, name })
    }

    /// Runs statements as the server's own user; says what they print.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn run(&self, database: Option<&str>, sql: &str) -> io::Result<String> {
        let mut command = match self.engine {
            Engine::MariaDb => {
                let mut command = Command::new(program("mariadb")?);
                command
                    .args([
                        "--no-defaults",
                        "--user=root",
                        "--batch",
                        "--skip-column-names",
                    ])
                    .args(["--default-character-set=utf8mb4", "--raw"])
                    .arg(format!("--socket={}", self.folder.join("socket").display()))
                    .args(database);
                command
            }
            Engine::Postgres => {
                let mut command = Command::new(program("psql")?);
                command
                    .args([
                        "-X",
                        "-q",
                        "-A",
                        "-t",
                        "-v",
                        "ON_ERROR_STOP=1",
                        "-U",
                        "postgres",
                    ])
                    .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
                    .args(["-d", database.unwrap_or("postgres")]);
                command
            }
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            // A client that ends early says why by itself.
            pipe.write_all(sql.as_bytes()).ok();
        }
        succeed(self.engine.name(), &child.wait_with_output()?)
    }
}

impl Drop for DatabaseServer {
    fn drop(&mut self) {
        if let Some(mut child) = lock(&self.watch).take() {
            drop(child.stdin.take());
            child.wait().ok();
        }
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn mariadb_users() -> String {
    // No right over the server, so that a read-only one is read-only for it.
    format!(
        "CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL ON `opik\\_%`.* TO '{USER}'@'%';\n"
    )
}

impl Database<'_> {
    /// Its address, with user and password.
    #[must_use]
    pub fn uri(&self) -> String {
        let (port, name) = (self.server.port, &self.name);
        match self.server.engine {
            Engine::MariaDb => format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{port}/{name}"),
            Engine::Postgres => format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/{name}"),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs statements in it as the server's own user; says what they print.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn run(&self, sql: &str) -> io::Result<String> {
        self.server.run(Some(&self.name), sql)
    }
}
