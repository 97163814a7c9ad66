//! A GraphQL request: the query, its operation's name, and the variables out of everything that a call says.

use serde_json::value::RawValue;

use super::body::{Body, merge, not_json, write_member};
use super::options::CallOptions;
use super::params::{Param, Params};
use crate::config::{Endpoint, Entries, Fault, Operation, object};
use crate::error::{Error, Result};

/// GraphQL over HTTP 5.1: what a client asks for that does not know whether the server has the newer type.
pub(super) const ACCEPT: &str = "application/graphql-response+json, application/json;q=0.9";

/// What the requests of a GraphQL endpoint have in common.
#[derive(Clone)]
pub(super) struct Graphql {
    endpoint: String,
    query: String,
    operation_name: Option<String>,
    operation: Operation,
    /// Those of the configuration, a JSON object.
    variables: String,
    /// Has that something from `${VAR}` in it?
    secret: bool,
    /// Do they go into the query of the URL?
    pub by_get: bool,
}

impl Graphql {
    /// None: the endpoint is of another kind. Params that `in_path` does not want lie over `variables`.
    pub fn new(endpoint: &Endpoint, in_path: impl Fn(&str) -> bool) -> Result<Option<Graphql>> {
        let keys = &endpoint.keys;
        let Some((query, operation)) = keys.query.as_ref().zip(endpoint.graphql.as_ref()) else {
            return Ok(None);
        };
        let mut params = String::from("{");
        for (name, value) in keys.params.iter().filter(|(name, _)| !in_path(name)) {
            operation.declares(name).map_err(|m| {
                let fault = Fault::new(m).under(name).under("params").under(endpoint.name.as_str());
                Error::config(fault.under("endpoints").to_string())
            })?;
            write_member(name, value.get(), &mut params).map_err(not_json)?;
        }
        params.push('}');
        let variables = keys.variables.as_ref().map_or("{}", |v| v.get());
        let hidden = keys.params.iter().any(|(name, value)| !in_path(name) && value.is_from_env());
        Ok(Some(Graphql {
            endpoint: endpoint.name.clone(),
            query: query.clone(),
            operation_name: keys.operation_name.clone(),
            operation: operation.clone(),
            variables: over(variables, &params)?,
            secret: hidden || keys.variables.as_ref().is_some_and(|v| v.is_from_env()),
            by_get: endpoint.method == "GET",
        }))
    }

    /// A query changes nothing, however it travels.
    pub fn is_safe(&self) -> bool {
        !self.operation.is_mutation
    }

    /// The variables of a call: params that win over all, then its data, its params, its option `params`, and the
    /// configuration's. Objects are
    /// merged. What `in_path` wants is added to `path` instead.
    pub fn variables<'a>(
        &self,
        params: [Option<&'a str>; 2],
        options: &'a CallOptions<'_>,
        body: Body<'_>,
        in_path: impl Fn(&str) -> bool,
        path: &mut Params<'a>,
    ) -> Result<String> {
        self.only_variables(options, body)?;
        let [over_all, params] = params;
        let mut variables = self.variables.clone();
        // The first one to name something in the path wins, and the last one to name a variable.
        for text in [over_all, params, options.params.map(RawValue::get)].into_iter().flatten() {
            path.add_some(text, &in_path)?;
        }
        for text in [options.params.map(RawValue::get), params].into_iter().flatten() {
            variables = over(&variables, &self.named(text, &in_path)?)?;
        }
        let data = match body {
            Body::Send(text) => Some(text),
            _ => options.data.map(RawValue::get),
        };
        if let Some(data) = data.map(str::trim_ascii) {
            let wrong = |m: &str| Error::argument(format!("data: {m}"));
            if !data.starts_with('{') {
                return Err(wrong("for a GraphQL operation it is an object with variables"));
            }
            let Entries(entries) = serde_json::from_str(data).map_err(not_json)?;
            for (name, _) in &entries {
                self.operation.declares(name).map_err(|m| wrong(&m))?;
            }
            variables = over(&variables, data)?;
        }
        match over_all {
            Some(text) => over(&variables, &self.named(text, &in_path)?),
            None => Ok(variables),
        }
    }

    /// The variables among params.
    fn named(&self, params: &str, in_path: impl Fn(&str) -> bool) -> Result<String> {
        let Entries(entries) = object(params).map_err(|f| Error::argument(format!("params: {f}")))?;
        let mut named = String::from("{");
        for (name, value) in entries.iter().filter(|(name, _)| !in_path(name)) {
            self.operation.declares(name).map_err(|m| Error::argument(format!("params: {m}")))?;
            write_member(name, value.get(), &mut named).map_err(not_json)?;
        }
        named.push('}');
        Ok(named)
    }

    /// A body that is given in another way would be another request.
    fn only_variables(&self, options: &CallOptions<'_>, body: Body<'_>) -> Result<()> {
        let keys = &options.keys;
        let others = [
            (matches!(body, Body::Bytes(_)), "bytes are"),
            (keys.form.is_some(), "the option \"form\" is"),
            (keys.multipart.is_some(), "the option \"multipart\" is"),
            (keys.body_file.is_some(), "the option \"body_file\" is"),
            (keys.content_type.is_some(), "the option \"content_type\" is"),
        ];
        match others.into_iter().find(|(there, _)| *there) {
            Some((_, what)) => Err(Error::argument(format!(
                "endpoint {:?} has a GraphQL query, and {what} not for that; variables go into params or data",
                self.endpoint
            ))),
            None => Ok(()),
        }
    }

    /// The body of a POST.
    pub fn body(&self, variables: &str) -> Result<String> {
        let text = |text: &String| serde_json::to_string(text).map_err(not_json);
        let mut body = String::from("{");
        write_member("query", &text(&self.query)?, &mut body).map_err(not_json)?;
        if variables != "{}" {
            write_member("variables", variables, &mut body).map_err(not_json)?;
        }
        if let Some(name) = &self.operation_name {
            write_member("operationName", &text(name)?, &mut body).map_err(not_json)?;
        }
        body.push('}');
        Ok(body)
    }

    /// The parameters of a GET, and whether they hold a secret.
    pub fn query(&self, variables: String) -> Vec<(&'static str, Param<'_>, bool)> {
        let mut query = vec![("query", Param::One(self.query.as_str().into()), false)];
        if variables != "{}" {
            query.push(("variables", Param::One(variables.into()), self.secret));
        }
        if let Some(name) = &self.operation_name {
            query.push(("operationName", Param::One(name.as_str().into()), false));
        }
        query
    }
}

/// One JSON object over another; objects in them are merged.
fn over(under: &str, over: &str) -> Result<String> {
    let over: &RawValue = serde_json::from_str(over).map_err(not_json)?;
    merge(Some(under), over).map(|merged| merged.into_owned())
}
