//! The command line.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use pipewright::snowpipe::account::TokenType;
use pipewright::snowpipe::{ChannelPath, SnowpipeAccount};
use pipewright::{Base, Secret};

use super::Result;

pub(crate) const USAGE: &str = "\
usage: snowpipe_ingest --account A (--user U --private-key FILE [--passphrase-env NAME] | --token-env NAME [--oauth])
                       --database D --schema S (--pipe P | --table T) --channel C
                       [--role R] [--url URL] [--offset-field F] [--batch-rows N] [--retry-timeout SECONDS] [--state FILE] [FILE]

Loads rows into a channel, exactly once. If it ends early, start it again with the same arguments and the same input.

  --account A            the account, such as MYORG-MYACCOUNT; not needed with --url and --token-env
  --user U               the user of the private key
  --private-key FILE     a PKCS#8 key in PEM
  --passphrase-env NAME  the environment variable with the passphrase of the key
  --token-env NAME       the environment variable with a programmatic access token
  --oauth                the token of --token-env is an OAuth access token
  --database D, --schema S, --pipe P, --channel C  where to load the rows
  --table T              uses the default pipe of this table, instead of --pipe
  --role R               the role; the default role of the user without it
  --url URL              the address of the account host; derived from --account by default
  --offset-field F       identifies rows by this field, which must increase from row to row; by line number without it
  --batch-rows N         the greatest number of rows in an append; a batch has up to 1 MiB by default
  --retry-timeout SECONDS  how long to retry while requests fail; 600 by default
  --state FILE           saves the position in FILE. A later start detects that the channel was replaced, and counts rows
                         that were rejected before
  FILE                   the rows, a JSON object in each line; the standard input without FILE, or with -
  --help                 this text";

pub(crate) struct Options {
    pub(crate) base: Base,
    pub(crate) credential: Credential,
    pub(crate) role: Option<String>,
    pub(crate) path: ChannelPath,
    pub(crate) offset_field: Option<String>,
    pub(crate) batch_rows: usize,
    pub(crate) retry_timeout: Duration,
    pub(crate) state: Option<PathBuf>,
    pub(crate) file: Option<PathBuf>,
}

pub(crate) enum Credential {
    Key { account: String, user: String, file: PathBuf, passphrase: Option<Secret> },
    Token { token: Secret, kind: TokenType },
}

impl Credential {
    pub(crate) fn token_type(&self) -> TokenType {
        match self {
            Self::Key { .. } => TokenType::KeypairJwt,
            Self::Token { kind, .. } => kind.clone(),
        }
    }
}

/// The arguments, before they are checked.
#[derive(Default)]
struct Given {
    account: Option<String>,
    user: Option<String>,
    private_key: Option<PathBuf>,
    passphrase_env: Option<String>,
    token_env: Option<String>,
    oauth: bool,
    database: Option<String>,
    schema: Option<String>,
    pipe: Option<String>,
    table: Option<String>,
    channel: Option<String>,
    url: Option<String>,
}

impl Options {
    /// Parses the command line; `None` for `--help`.
    pub(crate) fn parse() -> Result<Option<Self>> {
        use lexopt::prelude::*;

        let (mut role, mut offset_field, mut state, mut file) = (None, None, None, None::<PathBuf>);
        let (mut batch_rows, mut retry_timeout) = (usize::MAX, Duration::from_secs(600));
        let mut given = Given::default();
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("help") | Short('h') => return Ok(None),
                Long("account") => given.account = Some(parser.value()?.string()?),
                Long("user") => given.user = Some(parser.value()?.string()?),
                Long("private-key") => given.private_key = Some(parser.value()?.into()),
                Long("passphrase-env") => given.passphrase_env = Some(parser.value()?.string()?),
                Long("token-env") => given.token_env = Some(parser.value()?.string()?),
                Long("oauth") => given.oauth = true,
                Long("database") => given.database = Some(parser.value()?.string()?),
                Long("schema") => given.schema = Some(parser.value()?.string()?),
                Long("pipe") => given.pipe = Some(parser.value()?.string()?),
                Long("table") => given.table = Some(parser.value()?.string()?),
                Long("channel") => given.channel = Some(parser.value()?.string()?),
                Long("url") => given.url = Some(parser.value()?.string()?),
                Long("role") => role = Some(parser.value()?.string()?),
                Long("offset-field") => offset_field = Some(parser.value()?.string()?),
                Long("batch-rows") => batch_rows = parser.value()?.parse::<std::num::NonZeroUsize>()?.get(),
                Long("retry-timeout") => retry_timeout = Duration::from_secs(parser.value()?.parse::<u32>()?.into()),
                Long("state") => state = Some(parser.value()?.into()),
                Value(path) if file.is_none() => file = Some(path.into()),
                other => return Err(other.unexpected().into()),
            }
        }
        let path = given.path()?;
        let base = given.base()?;
        let credential = given.credential()?;
        let file = file.filter(|path| path.as_os_str() != "-");
        Ok(Some(Self { base, credential, role, path, offset_field, batch_rows, retry_timeout, state, file }))
    }
}

impl Given {
    fn path(&self) -> Result<ChannelPath> {
        let needed = |value: &Option<String>, name: &str| value.clone().ok_or_else(|| format!("--{name} is missing"));
        let (database, schema) = (needed(&self.database, "database")?, needed(&self.schema, "schema")?);
        let channel = needed(&self.channel, "channel")?;
        match (&self.pipe, &self.table) {
            (Some(pipe), None) => Ok(ChannelPath::new(database, schema, pipe, channel)),
            (None, Some(table)) => Ok(ChannelPath::of_table(database, schema, table, channel)),
            (Some(_), Some(_)) => Err("--pipe and --table: give one of them".into()),
            (None, None) => Err("--pipe or --table is missing".into()),
        }
    }

    fn base(&self) -> Result<Base> {
        match (&self.url, &self.account) {
            (Some(url), _) => Ok(url.parse()?),
            (None, Some(account)) => Ok(SnowpipeAccount::base(account)?),
            (None, None) => Err("--account is missing".into()),
        }
    }

    fn credential(self) -> Result<Credential> {
        match (self.private_key, self.token_env) {
            (Some(file), None) if !self.oauth => {
                let account = self.account.ok_or("--private-key needs --account")?;
                let user = self.user.ok_or("--private-key needs --user")?;
                let passphrase = self.passphrase_env.map(|name| secret(&name, "--passphrase-env")).transpose()?;
                Ok(Credential::Key { account, user, file, passphrase })
            }
            (None, Some(name)) => {
                if self.user.is_some() || self.passphrase_env.is_some() {
                    return Err("--user and --passphrase-env belong to --private-key; remove them, or use --private-key instead of --token-env".into());
                }
                let kind = if self.oauth { TokenType::OAuth } else { TokenType::ProgrammaticAccessToken };
                Ok(Credential::Token { token: secret(&name, "--token-env")?, kind })
            }
            (Some(_), None) => Err("--oauth belongs to --token-env".into()),
            (Some(_), Some(_)) => Err("--private-key and --token-env: give one of them".into()),
            (None, None) => Err("--private-key or --token-env is missing".into()),
        }
    }
}

/// Reads a secret from an environment variable. Errors do not show its value.
fn secret(name: &str, option: &str) -> Result<Secret> {
    match env::var(name) {
        Ok(text) if !text.is_empty() => Ok(Secret::new(text)),
        Ok(_) => Err(format!("{option} {name}: this environment variable is empty").into()),
        Err(env::VarError::NotPresent) => {
            Err(format!("{option} {name}: this environment variable does not exist; export it").into())
        }
        Err(env::VarError::NotUnicode(_)) => {
            Err(format!("{option} {name}: this environment variable is not UTF-8").into())
        }
    }
}
