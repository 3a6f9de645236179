//! Select-Object, Where-Object, Sort-Object, ForEach-Object, Measure-Object, Group-Object.

use std::collections::VecDeque;

use super::{Bound, Stage, StageError, operator};
use crate::line::draw::property_names;
use crate::line::plan::PlanError;
use crate::line::syntax::{Arg, CommandLine, Element, Expr};
use crate::line::value::{Variables, as_number, compare, evaluate, like, member, object, truth};
use crate::psrp::clixml::Value;

/// A stage that answers each object by itself.
struct Each<F>(F);

impl<F: FnMut(Value, &mut Vec<Value>) + Send> Stage for Each<F> {
    fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), StageError> {
        (self.0)(value, out);
        Ok(())
    }
}

/// A stage that answers when all have come.
struct All<F> {
    held: Vec<Value>,
    answer: Option<F>,
}

impl<F: FnOnce(Vec<Value>) -> Result<Vec<Value>, StageError> + Send> Stage for All<F> {
    fn push(&mut self, value: Value, _: &mut Vec<Value>) -> Result<(), StageError> {
        self.held.push(value);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), StageError> {
        if let Some(answer) = self.answer.take() {
            out.extend(answer(std::mem::take(&mut self.held))?);
        }
        Ok(())
    }
}

pub(super) fn all<F>(answer: F) -> Box<dyn Stage>
where
    F: FnOnce(Vec<Value>) -> Result<Vec<Value>, StageError> + Send + 'static,
{
    Box::new(All { held: Vec::new(), answer: Some(answer) })
}

struct Select {
    properties: Vec<String>,
    excluded: Vec<String>,
    expand: Option<String>,
    skip: usize,
    first: Option<usize>,
    last: Option<usize>,
    tail: VecDeque<Value>,
}

pub fn select(bound: &Bound) -> Result<Box<dyn Stage>, PlanError> {
    if bound.names("Property").iter().any(|name| name.contains("Hashtable")) {
        return Err(PlanError(
            "Select-Object: Calculated properties need PowerShell's script engine. Run it in pwsh.".into(),
        ));
    }
    Ok(Box::new(Select {
        properties: bound.names("Property"),
        excluded: bound.names("ExcludeProperty"),
        expand: bound.get("ExpandProperty").map(Value::display_text),
        skip: bound.count("Skip")?.unwrap_or(0),
        first: bound.count("First")?,
        last: bound.count("Last")?,
        tail: VecDeque::new(),
    }))
}

impl Select {
    fn shape(&self, value: Value, out: &mut Vec<Value>) -> Result<(), StageError> {
        if let Some(name) = &self.expand {
            let Some(inner) = member(&value, name) else {
                return Err(StageError(format!("Select-Object: Property \"{name}\" cannot be found.")));
            };
            match inner.items() {
                Some(items) => out.extend(items.iter().cloned()),
                None => out.push(inner),
            }
            return Ok(());
        }
        if self.properties.is_empty() && self.excluded.is_empty() {
            out.push(value);
            return Ok(());
        }
        let there = property_names(&value);
        let mut chosen: Vec<(String, Value)> = Vec::new();
        let everything = [String::from("*")];
        let patterns = if self.properties.is_empty() { &everything[..] } else { &self.properties };
        for pattern in patterns {
            let names: Vec<String> = if pattern.contains(['*', '?']) {
                there.iter().filter(|name| like(pattern, name)).cloned().collect()
            } else {
                let known = there.iter().find(|name| name.eq_ignore_ascii_case(pattern));
                vec![known.unwrap_or(pattern).clone()]
            };
            for name in names {
                let excluded = self.excluded.iter().any(|pattern| like(pattern, &name));
                if !excluded && !chosen.iter().any(|(has, _)| *has == name) {
                    let value = member(&value, &name).unwrap_or(Value::Null);
                    chosen.push((name, value));
                }
            }
        }
        out.push(object(chosen));
        Ok(())
    }
}

impl Stage for Select {
    fn push(&mut self, value: Value, out: &mut Vec<Value>) -> Result<(), StageError> {
        if self.skip > 0 && self.last.is_none() {
            self.skip -= 1;
            return Ok(());
        }
        if let Some(last) = self.last {
            self.tail.push_back(value);
            if self.tail.len() > last + self.skip {
                self.tail.pop_front();
            }
            return Ok(());
        }
        match &mut self.first {
            Some(0) => Ok(()),
            Some(first) => {
                *first -= 1;
                self.shape(value, out)
            }
            None => self.shape(value, out),
        }
    }

    fn finish(&mut self, out: &mut Vec<Value>) -> Result<(), StageError> {
        let keep = self.tail.len().saturating_sub(self.skip);
        let kept: Vec<_> = std::mem::take(&mut self.tail).into_iter().take(keep).collect();
        kept.into_iter().try_for_each(|value| self.shape(value, out))
    }

    fn is_done(&self) -> bool {
        self.first == Some(0) && self.last.is_none()
    }
}

/// Where-Object: `Enabled -eq $true`, `Enabled`, or a block of such comparisons.
pub fn filter(command: &CommandLine, variables: &Variables) -> Result<Box<dyn Stage>, PlanError> {
    let test = match command.arguments.as_slice() {
        [Arg::Value(Expr::Block(text))] => block(text, variables)?,
        arguments => vec![vec![comparison(arguments, variables)?]],
    };
    Ok(Box::new(Each(move |value: Value, out: &mut Vec<Value>| {
        if test.iter().any(|all| all.iter().all(|one| one.holds(&value))) {
            out.push(value);
        }
    })))
}

/// How two values are compared.
type Test = fn(&Value, &Value) -> bool;

/// One comparison of a property.
struct Comparison {
    property: String,
    test: Option<(Test, Value)>,
    negated: bool,
}

impl Comparison {
    fn holds(&self, value: &Value) -> bool {
        let of = member(value, &self.property).unwrap_or(Value::Null);
        let holds = match &self.test {
            Some((test, with)) => test(&of, with),
            None => truth(&of),
        };
        holds != self.negated
    }
}

fn comparison(arguments: &[Arg], variables: &Variables) -> Result<Comparison, PlanError> {
    let usage = || {
        PlanError(
            "Where-Object takes PROPERTY -eq VALUE (or -ne, -gt, -like, -match, -in, …) here, or a block of such \
             comparisons of $_.PROPERTY joined by -and and -or. Anything else runs in pwsh."
                .into(),
        )
    };
    let [Arg::Value(property), rest @ ..] = arguments else { return Err(usage()) };
    let property = evaluate(property, variables)?.display_text();
    let test = match rest {
        [] => None,
        [Arg::Parameter { name, value: None }, Arg::Value(value)]
        | [Arg::Parameter { name, value: Some(value) }] => {
            Some((operator(name).ok_or_else(usage)?, evaluate(value, variables)?))
        }
        _ => return Err(usage()),
    };
    Ok(Comparison { property, test, negated: false })
}

/// `$_.A -eq 1 -and -not $_.B -or …`: alternatives of what must all hold. Parentheses are not taken.
fn block(text: &str, variables: &Variables) -> Result<Vec<Vec<Comparison>>, PlanError> {
    let wrong = || {
        PlanError(format!(
            "Where-Object: {{{text}}} is more than comparisons of $_.PROPERTY joined by -and and -or. Run it in pwsh."
        ))
    };
    // `$_.Name` becomes a word, so that the line's own parser can be used.
    let spelled = text.trim().replace("$PSItem.", "_.").replace("$_.", "_.");
    let statements = crate::line::parse(&format!("where {spelled}")).map_err(|_| wrong())?;
    let [statement] = statements.as_slice() else { return Err(wrong()) };
    let [Element::Command(command)] = statement.pipeline.as_slice() else { return Err(wrong()) };
    let joins = |argument: &Arg, word: &str| matches!(argument, Arg::Parameter { name, value: None } if name.eq_ignore_ascii_case(word));
    let mut alternatives = Vec::new();
    for alternative in command.arguments.split(|argument| joins(argument, "or")) {
        let mut all = Vec::new();
        for mut part in alternative.split(|argument| joins(argument, "and")) {
            let mut negated = false;
            while let [first, rest @ ..] = part
                && joins(first, "not")
            {
                negated = !negated;
                part = rest;
            }
            let [Arg::Value(Expr::Text(property)), rest @ ..] = part else { return Err(wrong()) };
            let name = property.strip_prefix("_.").ok_or_else(wrong)?;
            let mut arguments = vec![Arg::Value(Expr::Text(name.to_owned()))];
            arguments.extend(rest.iter().cloned());
            let one = comparison(&arguments, variables).map_err(|_| wrong())?;
            all.push(Comparison { negated, ..one });
        }
        alternatives.push(all);
    }
    Ok(alternatives)
}

pub fn sort(bound: &Bound) -> Box<dyn Stage> {
    let properties = bound.names("Property");
    let (descending, unique) = (bound.switch("Descending"), bound.switch("Unique"));
    all(move |mut values: Vec<Value>| {
        let key = |value: &Value, name: &String| member(value, name).unwrap_or(Value::Null);
        let order = |a: &Value, b: &Value| {
            if properties.is_empty() {
                return compare(a, b);
            }
            let orders = properties.iter().map(|name| compare(&key(a, name), &key(b, name)));
            orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        };
        values.sort_by(|a, b| if descending { order(b, a) } else { order(a, b) });
        if unique {
            values.dedup_by(|a, b| order(a, b).is_eq());
        }
        Ok(values)
    })
}

pub fn for_each(bound: &Bound) -> Result<Box<dyn Stage>, PlanError> {
    let name = match bound.get("MemberName") {
        Some(Value::ScriptBlock(text)) => {
            let text = text.trim();
            let name = text.strip_prefix("$_.").or_else(|| text.strip_prefix("$PSItem."));
            name.filter(|name| name.chars().all(|one| one.is_alphanumeric() || one == '_')).map(str::to_owned)
        }
        Some(value) => Some(value.display_text()),
        None => None,
    };
    let name = name.ok_or_else(|| {
        PlanError(
            "ForEach-Object takes a property's name, or { $_.PROPERTY }, here. Anything else runs in pwsh."
                .into(),
        )
    })?;
    Ok(Box::new(Each(move |value: Value, out: &mut Vec<Value>| {
        let inner = member(&value, &name).unwrap_or(Value::Null);
        match inner.items() {
            Some(items) => out.extend(items.iter().cloned()),
            None => out.push(inner),
        }
    })))
}

pub fn measure(bound: Bound) -> Box<dyn Stage> {
    all(move |values: Vec<Value>| {
        let property = bound.get("Property").map(Value::display_text);
        let measured: Vec<Value> = match &property {
            Some(name) => values.iter().filter_map(|value| member(value, name)).collect(),
            None => values,
        };
        let numbers: Vec<f64> = measured.iter().filter_map(as_number).collect();
        let sum: f64 = numbers.iter().sum();
        let some = |switch: &str, value: f64| match bound.switch(switch) && !numbers.is_empty() {
            true => Value::Double(value),
            false => Value::Null,
        };
        let count = i32::try_from(measured.len()).unwrap_or(i32::MAX);
        Ok(vec![object(vec![
            ("Count".into(), Value::I32(count)),
            ("Average".into(), some("Average", sum / numbers.len().max(1) as f64)),
            ("Sum".into(), some("Sum", sum)),
            ("Maximum".into(), some("Maximum", numbers.iter().copied().fold(f64::MIN, f64::max))),
            ("Minimum".into(), some("Minimum", numbers.iter().copied().fold(f64::MAX, f64::min))),
            ("Property".into(), property.map_or(Value::Null, Value::String)),
        ])])
    })
}

pub fn group(bound: Bound) -> Box<dyn Stage> {
    all(move |values: Vec<Value>| {
        let names = bound.names("Property");
        let mut groups: Vec<(String, Vec<Value>)> = Vec::new();
        for value in values {
            let parts = names.iter().map(|name| member(&value, name).unwrap_or(Value::Null).display_text());
            let key =
                if names.is_empty() { value.display_text() } else { parts.collect::<Vec<_>>().join(", ") };
            match groups.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&key)) {
                Some((_, members)) => members.push(value),
                None => groups.push((key, vec![value])),
            }
        }
        let bare = bound.switch("NoElement");
        let shown = groups.into_iter().map(|(key, members)| {
            let count = i32::try_from(members.len()).unwrap_or(i32::MAX);
            let mut properties =
                vec![("Count".to_owned(), Value::I32(count)), ("Name".to_owned(), Value::String(key))];
            if !bare {
                properties.push(("Group".to_owned(), Value::array(members)));
            }
            object(properties)
        });
        Ok(shown.collect())
    })
}
