//! `exchange.toml`: one file for the whole exchange, a section a service.
//!
//! Precedence: file < environment (`REDIS_URL`, `DATABASE_URL`) < flag. Unknown sections and
//! unknown keys are refused; secrets come from the environment alone.

use std::path::{Path, PathBuf};

use protocol::Catalog;
use protocol::listing::{self, ListingError, RawAsset, RawMarket};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Sections that belong to a service; each parses its own and leaves the others alone.
const SERVICE_SECTIONS: [&str; 5] = ["engine", "gateway", "fanout", "sink", "market_maker"];

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("could not read {path}")]
    Read {
        path: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("{path} is not valid")]
    Parse {
        path: PathBuf,
        #[source]
        cause: Box<toml::de::Error>,
    },
    #[error("section [{section}] is not valid")]
    Section {
        section: String,
        #[source]
        cause: Box<toml::de::Error>,
    },
    #[error("section [{0}] is not one of this exchange's")]
    UnknownSection(String),
    #[error(transparent)]
    Listing(#[from] ListingError),
}

#[derive(Debug, Deserialize)]
struct RawFile {
    redis: Redis,
    database: Database,
    assets: Vec<RawAsset>,
    markets: Vec<RawMarket>,
    #[serde(flatten)]
    sections: toml::Table,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Redis {
    url: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Database {
    url: String,
}

/// The file, read and checked as far as all services share it.
#[derive(Debug)]
pub struct ExchangeFile {
    pub catalog: Catalog,
    /// `REDIS_URL`, else `[redis] url`.
    pub redis_url: String,
    /// `DATABASE_URL`, else `[database] url`.
    pub database_url: String,
    sections: toml::Table,
}

impl ExchangeFile {
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| ConfigError::Read { path: path.to_owned(), cause })?;
        let environment = |name: &str| std::env::var(name).ok().filter(|url| !url.is_empty());
        Self::parse(&text, environment("REDIS_URL"), environment("DATABASE_URL")).map_err(|error| {
            match error {
                ConfigError::Parse { cause, .. } => {
                    ConfigError::Parse { path: path.to_owned(), cause }
                }
                other => other,
            }
        })
    }

    fn parse(
        text: &str,
        redis_url: Option<String>,
        database_url: Option<String>,
    ) -> Result<Self, ConfigError> {
        let raw: RawFile = toml::from_str(text)
            .map_err(|cause| ConfigError::Parse { path: PathBuf::new(), cause: Box::new(cause) })?;
        let known = |section: &String| SERVICE_SECTIONS.contains(&section.as_str());
        if let Some(unknown) = raw.sections.keys().find(|section| !known(section)) {
            return Err(ConfigError::UnknownSection(unknown.clone()));
        }
        Ok(ExchangeFile {
            catalog: listing::catalog(&raw.assets, &raw.markets)?,
            redis_url: redis_url.unwrap_or(raw.redis.url),
            database_url: database_url.unwrap_or(raw.database.url),
            sections: raw.sections,
        })
    }

    /// The section of one service; an absent section is an empty one, so that defaults apply.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, ConfigError> {
        let section = self.sections.get(name).cloned();
        let section = section.unwrap_or_else(|| toml::Value::Table(toml::Table::new()));
        section.try_into().map_err(|cause| ConfigError::Section {
            section: name.to_owned(),
            cause: Box::new(cause),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[redis]\nurl = \"redis://a/\"\n[database]\nurl = \"postgres://b/c\"\n";
    const EMPTY_LISTS: &str = "assets = []\nmarkets = []\n";

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Section {
        #[serde(default)]
        shards: u16,
    }

    fn parse(rest: &str) -> Result<ExchangeFile, ConfigError> {
        ExchangeFile::parse(&format!("{EMPTY_LISTS}{HEAD}{rest}"), None, None)
    }

    #[test]
    fn a_section_is_parsed_by_its_service() {
        let file = parse("[engine]\nshards = 2\n").unwrap();
        assert_eq!(file.section::<Section>("engine").unwrap().shards, 2);
        assert_eq!(file.section::<Section>("sink").unwrap().shards, 0);
        assert_eq!(file.redis_url, "redis://a/");
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert!(matches!(parse("[engin]\n"), Err(ConfigError::UnknownSection(_))));
        let file = parse("[engine]\nshard = 2\n").unwrap();
        assert!(file.section::<Section>("engine").is_err());
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let text = format!("{EMPTY_LISTS}{HEAD}");
        let file = ExchangeFile::parse(&text, Some("redis://x/".to_owned()), None).unwrap();
        assert_eq!(file.redis_url, "redis://x/");
        assert_eq!(file.database_url, "postgres://b/c");
    }
}
