//! Names of streams, in both forms: `depth.SOL_USDC` and `depth@SOL_USDC`.
//!
//! The last separator before the market is `.` or `@`; the two forms of a name differ in that one
//! byte. Channels on Redis carry the `@` form. Private streams have a dotted name alone.

use protocol::{AccountId, Catalog, Interval, MarketId, keys};

/// Period over which depth updates are joined.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Window {
    Ms200,
    Ms600,
    Ms1000,
}

impl Window {
    pub const ALL: [Window; 3] = [Window::Ms200, Window::Ms600, Window::Ms1000];

    pub const fn milliseconds(self) -> u64 {
        match self {
            Window::Ms200 => 200,
            Window::Ms600 => 600,
            Window::Ms1000 => 1000,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Trade,
    Ticker,
    BookTicker,
    Depth,
    DepthWindow(Window),
    Kline(Interval),
}

/// What there is to hear; its market is listed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Topic {
    pub kind: Kind,
    pub market: MarketId,
}

impl Topic {
    /// Every topic of a market that comes from a channel of its own.
    pub fn sources(market: MarketId) -> impl Iterator<Item = Topic> {
        let kinds = [Kind::Trade, Kind::Ticker, Kind::BookTicker, Kind::Depth];
        let klines = Interval::ALL.into_iter().map(Kind::Kline);
        kinds.into_iter().chain(klines).map(move |kind| Topic { kind, market })
    }

    /// The topic it is made from: itself, or the realtime depth.
    pub fn source(self) -> Topic {
        match self.kind {
            Kind::DepthWindow(_) => Topic { kind: Kind::Depth, ..self },
            _ => self,
        }
    }

    /// Whether a missing frame would corrupt what its clients know.
    pub fn is_gapless(self) -> bool {
        matches!(self.kind, Kind::Trade | Kind::Depth | Kind::DepthWindow(_))
    }

    /// Its name in the `@` form; for a source also its channel.
    pub fn at_name(self, symbol: &str) -> String {
        match self.kind {
            Kind::Trade => keys::trade(symbol),
            Kind::Ticker => keys::ticker(symbol),
            Kind::BookTicker => keys::book_ticker(symbol),
            Kind::Depth => keys::depth(symbol),
            Kind::DepthWindow(window) => format!("depth.{}ms@{symbol}", window.milliseconds()),
            Kind::Kline(interval) => keys::kline(interval, symbol),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    Dotted,
    At,
}

/// What a client hears under one name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StreamName {
    /// A topic under the name its client uses.
    Public { topic: Topic, form: Form },
    /// What is one account's alone.
    Private { account: AccountId, name: PrivateName },
}

impl StreamName {
    /// As its frames name it. `None` while the catalog does not know its market.
    pub fn text(self, catalog: &Catalog) -> Option<String> {
        match self {
            StreamName::Public { topic, form } => {
                let at_name = topic.at_name(&catalog.market(topic.market)?.symbol);
                Some(match form {
                    Form::At => at_name,
                    Form::Dotted => at_name.replace('@', "."),
                })
            }
            StreamName::Private { name, .. } => name.text(catalog),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PrivateName {
    /// `account.orderUpdate`, or of one market alone.
    Orders(Option<MarketId>),
    /// `account.balanceUpdate`
    Balances,
}

impl PrivateName {
    fn text(self, catalog: &Catalog) -> Option<String> {
        Some(match self {
            PrivateName::Orders(None) => "account.orderUpdate".to_owned(),
            PrivateName::Orders(Some(market)) => {
                format!("account.orderUpdate.{}", catalog.market(market)?.symbol)
            }
            PrivateName::Balances => "account.balanceUpdate".to_owned(),
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed {
    Public {
        topic: Topic,
        form: Form,
    },
    /// Asks for proof who somebody is.
    Private(Private),
    /// Well-formed enough to be accepted, and nothing will ever come of it.
    Silent,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Private {
    Stream(PrivateName),
    /// `account.cancelOnDisconnect`: not heard, but done.
    CancelOnDisconnect,
    /// Of a kind, or of a market, of which nothing will ever come.
    Silent,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameError {
    UnknownKind,
    UnknownWindow,
}

pub fn parse(name: &str, catalog: &Catalog) -> Result<Parsed, NameError> {
    let (kind, rest) = split(name);
    match kind {
        "trade" => Ok(public(Kind::Trade, rest, catalog)),
        "ticker" => Ok(public(Kind::Ticker, rest, catalog)),
        "bookTicker" => Ok(public(Kind::BookTicker, rest, catalog)),
        "depth" => depth(rest, catalog),
        "kline" => Ok(kline(rest, catalog)),
        "account" => match rest {
            Some((Form::Dotted, rest)) => private(rest, catalog).map(Parsed::Private),
            _ => Err(NameError::UnknownKind),
        },
        "markPrice" | "openInterest" | "liquidation" => Ok(Parsed::Silent),
        _ => Err(NameError::UnknownKind),
    }
}

fn private(name: &str, catalog: &Catalog) -> Result<Private, NameError> {
    let (kind, rest) = split(name);
    Ok(match (kind, rest) {
        ("orderUpdate", None) => Private::Stream(PrivateName::Orders(None)),
        ("orderUpdate", Some((Form::Dotted, symbol))) => match catalog.market_by_symbol(symbol) {
            Some(market) => Private::Stream(PrivateName::Orders(Some(market.id))),
            None => Private::Silent,
        },
        ("balanceUpdate", None) => Private::Stream(PrivateName::Balances),
        ("cancelOnDisconnect", None) => Private::CancelOnDisconnect,
        ("orderUpdate" | "balanceUpdate" | "positionUpdate" | "rfqUpdate", _) => Private::Silent,
        _ => return Err(NameError::UnknownKind),
    })
}

/// What is before the first separator, which separator it is, and what follows.
fn split(text: &str) -> (&str, Option<(Form, &str)>) {
    match text.find(['.', '@']) {
        Some(at) => {
            let form = if text.as_bytes()[at] == b'@' { Form::At } else { Form::Dotted };
            (&text[..at], Some((form, &text[at + 1..])))
        }
        None => (text, None),
    }
}

fn public(kind: Kind, rest: Option<(Form, &str)>, catalog: &Catalog) -> Parsed {
    let Some((form, symbol)) = rest else { return Parsed::Silent };
    match catalog.market_by_symbol(symbol) {
        Some(market) => Parsed::Public { topic: Topic { kind, market: market.id }, form },
        None => Parsed::Silent,
    }
}

fn depth(rest: Option<(Form, &str)>, catalog: &Catalog) -> Result<Parsed, NameError> {
    let Some((Form::Dotted, text)) = rest else {
        return Ok(public(Kind::Depth, rest, catalog));
    };
    let (window, Some(market)) = split(text) else {
        return Ok(public(Kind::Depth, rest, catalog));
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let Some(number) = window.strip_suffix("ms").filter(|number| is_number(number)) else {
        return Ok(Parsed::Silent);
    };
    let offered = Window::ALL.into_iter().find(|it| it.milliseconds().to_string() == number);
    let window = offered.ok_or(NameError::UnknownWindow)?;
    Ok(public(Kind::DepthWindow(window), Some(market), catalog))
}

fn kline(rest: Option<(Form, &str)>, catalog: &Catalog) -> Parsed {
    let Some((Form::Dotted, text)) = rest else { return Parsed::Silent };
    let (interval, market) = split(text);
    match Interval::from_name(interval) {
        Some(interval) => public(Kind::Kline(interval), market, catalog),
        None => Parsed::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::fixture::catalog;

    #[test]
    fn every_topic_is_known_by_both_its_names() {
        let catalog = catalog();
        let market = MarketId(1);
        let windows = Window::ALL.map(|window| Topic { kind: Kind::DepthWindow(window), market });
        for topic in Topic::sources(market).chain(windows) {
            let name = topic.at_name("SOL_USDC");
            for (name, form) in [(name.replace('@', "."), Form::Dotted), (name, Form::At)] {
                assert_eq!(parse(&name, &catalog), Ok(Parsed::Public { topic, form }), "{name}");
                let stream = StreamName::Public { topic, form };
                assert_eq!(stream.text(&catalog), Some(name));
            }
        }
    }

    #[test]
    fn a_name_nothing_comes_of_is_silent() {
        let silent = [
            "trade.NOPE_NOPE",
            "trade",
            "trade.",
            "depth",
            "depth.5.SOL_USDC",
            "depth.200ms.NOPE_NOPE",
            "depth.ms.SOL_USDC",
            "depth@200ms.SOL_USDC",
            "kline.7m.SOL_USDC",
            "kline.1m",
            "kline@SOL_USDC",
            "markPrice.SOL_USDC_PERP",
            "openInterest.SOL_USDC_PERP",
            "liquidation",
        ];
        for name in silent {
            assert_eq!(parse(name, &catalog()), Ok(Parsed::Silent), "{name}");
        }
    }

    #[test]
    fn unknown_kinds_and_windows_are_refused() {
        let kinds = [
            "",
            "nonsense.SOL_USDC",
            "Trade.SOL_USDC",
            "account",
            "account@17",
            "account.nonsense",
            "externalTicker.X",
            "stockPrice.X",
            "stockIndicativeQuote.X",
        ];
        for name in kinds {
            assert_eq!(parse(name, &catalog()), Err(NameError::UnknownKind), "{name}");
        }
        for name in ["depth.100ms.SOL_USDC", "depth.100ms@SOL_USDC", "depth.0200ms.SOL_USDC"] {
            assert_eq!(parse(name, &catalog()), Err(NameError::UnknownWindow), "{name}");
        }
    }

    #[test]
    fn private_names_are_told_apart() {
        let catalog = catalog();
        let streams = [
            ("account.orderUpdate", PrivateName::Orders(None)),
            ("account.orderUpdate.SOL_USDC", PrivateName::Orders(Some(MarketId(1)))),
            ("account.balanceUpdate", PrivateName::Balances),
        ];
        for (text, name) in streams {
            let parsed = Ok(Parsed::Private(Private::Stream(name)));
            assert_eq!(parse(text, &catalog), parsed, "{text}");
            let account = AccountId::new(7).unwrap();
            let stream = StreamName::Private { account, name };
            assert_eq!(stream.text(&catalog).as_deref(), Some(text));
        }
        let armed = Ok(Parsed::Private(Private::CancelOnDisconnect));
        assert_eq!(parse("account.cancelOnDisconnect", &catalog), armed);
        let silent = [
            "account.orderUpdate.NOPE_NOPE",
            "account.positionUpdate",
            "account.positionUpdate.SOL_USDC",
            "account.rfqUpdate",
            "account.balanceUpdate.SOL",
        ];
        for name in silent {
            assert_eq!(parse(name, &catalog), Ok(Parsed::Private(Private::Silent)), "{name}");
        }
    }
}
