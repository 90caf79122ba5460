//! [`Routes`]: routes with who may call them, as data; in the document as well.

use std::convert::Infallible;

use axum::{
    Extension, Router, extract::Request, middleware::from_fn_with_state, response::IntoResponse,
    routing::Route,
};
use tower::{Layer, Service};
use utoipa::openapi::{
    Components, OpenApi, Ref, RefOr,
    extensions::Extensions,
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::{Access, Callers, guard, hosts, pages};
use crate::{
    addresses::origins,
    operations::{name, operations, problem_about},
};

/// The member of an operation in a document that says who may call it: [`Access::as_str`].
pub const ACCESS: &str = "x-access";

/// The name of the tokens in the documents.
const SCHEME: &str = "token";

/// Routes of a service, each with who may call it.
///
/// ```
/// use service_kit::callers::{Access, Routes};
/// use utoipa_axum::routes;
///
/// #[utoipa::path(get, path = "/stock", responses((status = 200)))]
/// async fn stock() {}
///
/// let api = Routes::<()>::new(Default::default()).with(Access::Staff, routes!(stock));
/// let document = api.document();
/// ```
pub struct Routes<S = ()> {
    routes: OpenApiRouter<S>,
}

/// Routes that ask who calls, and which page: all that a server takes.
#[derive(Debug, Clone, Default)]
pub struct Guarded {
    routes: Router,
    /// The origins of pages that may change something, besides the server's own.
    pages: Vec<String>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// None yet. `document` says what they are about.
    pub fn new(document: OpenApi) -> Self {
        Self { routes: OpenApiRouter::with_openapi(document) }
    }

    /// And these, for those who have this `access`.
    #[must_use]
    pub fn with(mut self, access: Access, routes: UtoipaMethodRouter<S>) -> Self {
        let (schemas, mut paths, methods) = routes;
        for item in paths.paths.values_mut() {
            for (_, operation) in operations(item) {
                let extensions = operation.extensions.get_or_insert_with(Extensions::default);
                extensions.insert(ACCESS.to_owned(), access.as_str().into());
                operation.security = Some(match access {
                    Access::Public => vec![],
                    Access::Owner | Access::Staff => {
                        vec![SecurityRequirement::new(SCHEME, Vec::<String>::new())]
                    }
                });
            }
        }
        let methods = methods.route_layer(from_fn_with_state(access, guard::admit));
        self.routes = self.routes.routes((schemas, paths, methods));
        self
    }

    /// What they are, with who may call them.
    pub fn document(self) -> OpenApi {
        let mut document = self.routes.into_openapi();
        document_guard(&mut document);
        document
    }

    /// The routes over `state`.
    pub fn guarded(self, state: S) -> Guarded {
        let routes = self.routes.split_for_parts().0.with_state(state);
        Guarded { routes, pages: Vec::new() }
    }
}

impl Guarded {
    /// Routes for every caller, without a token.
    pub fn public(routes: Router) -> Self {
        Self::all(Access::Public, routes)
    }

    pub(crate) fn all(access: Access, routes: Router) -> Self {
        let routes = routes.layer(from_fn_with_state(access, guard::admit));
        Self { routes, pages: Vec::new() }
    }

    /// These and others.
    #[must_use]
    pub fn merge(self, others: Self) -> Self {
        let routes = self.routes.merge(others.routes);
        Self { routes, pages: [self.pages, others.pages].concat() }
    }

    /// The page at `url`, of another server, may change something by them. CORS is another
    /// question: what that page may read, and send with headers of its own.
    #[must_use]
    pub fn for_the_page_at(mut self, url: &str) -> Self {
        self.pages.extend(origins(url));
        self
    }

    /// The same, in `layer`.
    #[must_use]
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self { routes: self.routes.layer(layer), ..self }
    }

    /// The routes with `callers` as the judge of each request.
    pub fn judged_by(self, callers: Callers) -> Router {
        let pages: pages::Pages = self.pages.into();
        let hosts = callers.hosts();
        let routes = self.routes.layer(Extension(callers));
        let routes = routes.layer(from_fn_with_state(pages, pages::refuse_foreign));
        match hosts {
            Some(hosts) => routes.layer(from_fn_with_state(hosts, hosts::refuse_foreign)),
            None => routes,
        }
    }
}

/// Says in `document` what a token is, and what the guard answers.
fn document_guard(document: &mut OpenApi) {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
    let scheme = scheme.description(Some(
        "Needed when the shop runs with `JWT_ISSUER`. `x-access` of an operation says by whom: \
         `public` needs no token, `owner` is a customer for what is theirs, and staff, `staff` is \
         staff alone.",
    ));
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(SCHEME, SecurityScheme::Http(scheme.build()));
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            if operation.security.as_ref().is_none_or(Vec::is_empty) {
                continue;
            }
            for (status, _) in guard::ANSWERS {
                let shared = || RefOr::Ref(Ref::from_response_name(name(status)));
                let answers = &mut operation.responses.responses;
                answers.entry(status.as_str().to_owned()).or_insert_with(shared);
            }
        }
    }
    for (status, about) in guard::ANSWERS {
        let answer = RefOr::T(problem_about(about));
        components.responses.insert(name(status), answer);
    }
}
