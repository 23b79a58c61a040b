//! What the operator changed of a market while it traded.

use protocol::{Frame, LotTerms, Outcome, PriceTerms};

use super::error::Inconsistency;
use super::market::MarketReplica;
use crate::rules;

impl MarketReplica {
    pub(super) fn set_price_terms(
        &mut self,
        frame: &Frame<'_>,
        terms: PriceTerms,
    ) -> Result<(), Inconsistency> {
        if frame.header.outcome != Outcome::TermsSet || rules::check_price_terms(&terms).is_err() {
            return Err(Inconsistency::Outcome);
        }
        self.sum.price_terms(self.price_terms, terms);
        self.restore_terms(Some(terms), self.lot_terms);
        Ok(())
    }

    pub(super) fn set_lot_terms(
        &mut self,
        frame: &Frame<'_>,
        terms: LotTerms,
    ) -> Result<(), Inconsistency> {
        let is_possible = rules::check_lot_terms(&self.spec, &terms).is_ok();
        if frame.header.outcome != Outcome::TermsSet || !is_possible {
            return Err(Inconsistency::Outcome);
        }
        self.sum.lot_terms(self.lot_terms, terms);
        self.restore_terms(self.price_terms, Some(terms));
        Ok(())
    }

    /// What was set once stays in force over the config's.
    pub(super) fn restore_terms(&mut self, price: Option<PriceTerms>, lot: Option<LotTerms>) {
        (self.price_terms, self.lot_terms) = (price, lot);
        price.into_iter().for_each(|terms| self.spec.set_price_terms(terms));
        lot.into_iter().for_each(|terms| self.spec.set_lot_terms(terms));
    }
}
