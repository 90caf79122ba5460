//! The views, each with its owner file.

use super::{
    Definition, ViewName, customer_orders, customers, order, products, refusals, sales, timeline,
    versions,
};
use crate::batch::Fresh;
use sqlx::PgConnection;

impl ViewName {
    /// What it is made of.
    pub fn definition(self) -> &'static Definition {
        match self {
            Self::Orders => &order::DEFINITION,
            Self::Refusals => &refusals::DEFINITION,
            Self::Versions => &versions::DEFINITION,
            Self::Timeline => &timeline::DEFINITION,
            Self::CustomerOrders => &customer_orders::DEFINITION,
            Self::Products => &products::DEFINITION,
            Self::Customers => &customers::DEFINITION,
            Self::Sales => &sales::DEFINITION,
        }
    }

    /// Fold `fresh` into its tables: those that come first in the search path.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn fold(self, connection: &mut PgConnection, fresh: &Fresh<'_>) -> sqlx::Result<()> {
        match self {
            Self::Orders => order::fold(connection, fresh).await,
            Self::Refusals => refusals::fold(connection, fresh).await,
            Self::Versions => versions::fold(connection, fresh).await,
            Self::Timeline => timeline::fold(connection, fresh).await,
            Self::CustomerOrders => customer_orders::fold(connection, fresh).await,
            Self::Products => products::fold(connection, fresh).await,
            Self::Customers => customers::fold(connection, fresh).await,
            Self::Sales => sales::fold(connection, fresh).await,
        }
    }
}
