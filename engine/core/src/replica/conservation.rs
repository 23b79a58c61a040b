//! That every unit of every asset can be traced: what was deposited is withdrawn, available,
//! locked or collected as a fee, and what is locked is what orders hold.

use protocol::{AssetId, Conservation, Side};

use super::Replica;

impl Replica {
    /// Where all units are, by asset, as counted step by step: asked after every block.
    pub fn conservation(&self) -> Vec<Conservation> {
        let row = |asset: AssetId| {
            let total = self.balances.total(asset);
            self.row(asset, total.available, total.locked)
        };
        self.catalog.assets().iter().map(|asset| row(asset.id)).collect()
    }

    /// As [`Replica::conservation`], counted anew. Walks all balances.
    pub fn conservation_recounted(&self) -> Vec<Conservation> {
        let totals = self.balances.recount();
        let row = |asset: AssetId| {
            let total = totals.get(asset.index()).copied().unwrap_or_default();
            self.row(asset, total.available, total.locked)
        };
        self.catalog.assets().iter().map(|asset| row(asset.id)).collect()
    }

    fn row(&self, asset: AssetId, available: u128, locked: u128) -> Conservation {
        let flow = self.accounts.flow(asset);
        let held = self.markets().map(|market| {
            let (spec, held) = (market.spec(), market.held());
            let of = |side, held| if spec.paid_asset(side) == asset { held } else { 0 };
            of(Side::Bid, held.bids) + of(Side::Ask, held.asks)
        });
        Conservation {
            asset,
            deposited: flow.deposited,
            withdrawn: flow.withdrawn,
            available,
            locked,
            fees: u128::from(self.balances.fees(asset).0),
            held: held.sum(),
        }
    }

    /// Walks the whole state: books, holds against locked balances, conservation.
    pub fn assert_consistent(&self) {
        let rows = self.accounts.count() as usize;
        let columns = self.catalog.asset_columns();
        let mut held = vec![0u64; rows * columns];
        for market in self.markets() {
            market.assert_consistent();
            for order in market.orders().iter() {
                let spec = market.spec();
                let hold = spec.hold(order.side, order.price, order.lots_left);
                let place = order.account.index() * columns + spec.paid_asset(order.side).index();
                held[place] += hold.map_or(0, |units| units.0);
            }
        }
        for balance in self.balances() {
            let place = &mut held[balance.account.index() * columns + balance.asset.index()];
            assert_eq!(*place, balance.locked.0, "Invariant: locked is what orders hold");
            *place = 0;
        }
        assert!(
            held.iter().all(|units| *units == 0),
            "Invariant: no order holds what is not locked"
        );
        let counted = self.conservation();
        assert_eq!(counted, self.conservation_recounted(), "Invariant: totals are sums");
        for row in counted {
            assert!(row.holds(), "Invariant: every unit can be traced: {row:?}");
        }
        assert_eq!(self.sum(), self.sum_recounted(), "Invariant: the digest tells of the state");
    }
}
