//! Parser of statements: pipelines, assignments, foreach.

use super::{Parsed, Parser, is_name};
use crate::line::syntax::{Element, Expr, Redirection, Repeat, Statement, Stream};

/// Automatic and preference variables of PowerShell that the console does not support. Assigning them without
/// effect would be misleading.
const REFUSED: [&str; 36] = [
    "WhatIfPreference",
    "ConfirmPreference",
    "VerbosePreference",
    "DebugPreference",
    "WarningPreference",
    "InformationPreference",
    "ProgressPreference",
    "PSDefaultParameterValues",
    "PSModuleAutoLoadingPreference",
    "PSNativeCommandUseErrorActionPreference",
    "PSSessionOption",
    "OFS",
    "OutputEncoding",
    "FormatEnumerationLimit",
    "ErrorView",
    "LASTEXITCODE",
    "Matches",
    "input",
    "this",
    "foreach",
    "switch",
    "Event",
    "EventArgs",
    "Sender",
    "ExecutionContext",
    "Host",
    "MyInvocation",
    "NestedPromptLevel",
    "PSBoundParameters",
    "PSCmdlet",
    "PSDebugContext",
    "PSStyle",
    "PROFILE",
    "StackTrace",
    "ShellId",
    "EnabledExperimentalFeatures",
];

/// Variables that the console sets itself.
const READ_ONLY: [&str; 14] = [
    "true",
    "false",
    "?",
    "Error",
    "PSVersionTable",
    "PSEdition",
    "HOME",
    "PWD",
    "PID",
    "PSScriptRoot",
    "PSCommandPath",
    "IsWindows",
    "IsLinux",
    "IsMacOS",
];

fn has(names: &[&str], name: &str) -> bool {
    names.iter().any(|one| one.eq_ignore_ascii_case(name))
}

impl Parser {
    /// Parses statements up to the end or a closing bracket. Invalid statements are skipped.
    pub(super) fn statements(&mut self) -> Parsed<Vec<Statement>> {
        let mut statements = Vec::new();
        loop {
            self.blank(true);
            match self.peek() {
                None | Some(')' | '}') => return Ok(statements),
                Some(';') => self.at += 1,
                Some(_) => {
                    let start = self.at;
                    match self.statement() {
                        Ok(statement) => statements.push(statement),
                        Err(error) if error.incomplete => return Err(error),
                        Err(error) => {
                            self.errors.push(error);
                            self.takes_type = false;
                            self.pass_over(start);
                        }
                    }
                }
            }
        }
    }

    pub(super) fn statement(&mut self) -> Parsed<Statement> {
        let at = self.offset();
        let assign = self.assignment()?;
        if let Some(pipeline) = self.foreach()? {
            return Ok(Statement { assign, pipeline, redirections: Vec::new(), at });
        }
        let mut pipeline = Vec::new();
        let mut redirections: Vec<Redirection> = Vec::new();
        loop {
            self.blank(!pipeline.is_empty() || assign.is_some());
            if self.peek().is_none() {
                return self.unfinished("An empty pipe element is not allowed.");
            }
            if self.begins_expression() {
                if !pipeline.is_empty() {
                    return self.wrong("Expressions are only allowed as the first element of a pipeline.");
                }
                pipeline.push(Element::Expression(self.expression()?));
                self.redirections(&mut redirections)?;
            } else {
                pipeline.push(Element::Command(self.command(&mut redirections)?));
            }
            self.blank(false);
            match self.peek() {
                Some('|') if self.peek_at(1) == Some('|') => return self.script("'||'"),
                Some('|') => self.at += 1,
                Some('\n') if self.consume_leading_pipe() => {}
                Some('\n' | ';' | ')' | '}') | None => {
                    return Ok(Statement { assign, pipeline, redirections, at });
                }
                Some('&') if self.peek_at(1) == Some('&') => return self.script("'&&'"),
                Some('&') => return self.script("'&'"),
                Some('=') => return self.script("This assignment"),
                Some(_) => {
                    let start = self.at;
                    let word = self.word()?;
                    return match word {
                        Some(Expr::Literal(text)) => self.wrong_at(
                            start,
                            format!(
                                "Unexpected token '{}' in expression or statement. Text belongs in quotes.",
                                text.display_text()
                            ),
                        ),
                        _ => self.wrong_at(start, "Unexpected token in expression or statement."),
                    };
                }
            }
            // Only the output of the last command can be redirected.
            if redirections.iter().any(|one| one.from == Stream::Output) {
                return self
                    .wrong("The next command gets no input, because the output is redirected: put the redirection last.");
            }
        }
    }

    /// Consumes a pipe at the beginning of the next line, as PowerShell 7 does.
    fn consume_leading_pipe(&mut self) -> bool {
        let start = self.at;
        self.blank(true);
        if self.peek() == Some('|') && self.peek_at(1) != Some('|') {
            self.at += 1;
            return true;
        }
        self.at = start;
        false
    }

    /// Parses `foreach ($x in …) { … }`, if present.
    fn foreach(&mut self) -> Parsed<Option<Vec<Element>>> {
        const KEYWORD: &str = "foreach";
        let start = self.at;
        self.blank(true);
        let word: String = (0..KEYWORD.len()).map_while(|ahead| self.peek_at(ahead)).collect();
        if word.eq_ignore_ascii_case(KEYWORD) {
            self.at += KEYWORD.len();
            self.blank(true);
            if self.take('(') {
                return self.deeper(Self::each).map(Some);
            }
        }
        self.at = start;
        Ok(None)
    }

    /// Parses the rest after `foreach (`.
    fn each(&mut self) -> Parsed<Vec<Element>> {
        let wrong = "Invalid foreach; expected: foreach ($user in Get-CsOnlineUser) { … }.";
        self.blank(true);
        let start = self.at;
        let variable = if self.take('$') { self.name() } else { String::new() };
        self.writable(start, &variable)?;
        self.blank(true);
        let word = self.name();
        if self.peek().is_none() {
            return self.unfinished(wrong);
        }
        if variable.is_empty() || !word.eq_ignore_ascii_case("in") {
            return self.wrong(wrong);
        }
        let of = self.statement()?;
        self.blank(true);
        self.expect(')', wrong)?;
        self.blank(true);
        self.expect('{', wrong)?;
        let body = self.statements()?;
        self.expect('}', wrong)?;
        let of = match of {
            Statement { assign: None, mut pipeline, redirections, .. }
                if redirections.is_empty() && matches!(pipeline.as_slice(), [Element::Expression(_)]) =>
            {
                pipeline.swap_remove(0)
            }
            pipeline => Element::Expression(Expr::Nested(vec![pipeline])),
        };
        Ok(vec![of, Element::Repeat(Repeat { variable, body })])
    }

    fn expect(&mut self, letter: char, otherwise: &str) -> Parsed<()> {
        match self.peek() {
            Some(next) if next == letter => {
                self.at += 1;
                Ok(())
            }
            Some(_) => self.wrong(otherwise),
            None => self.unfinished(otherwise),
        }
    }

    /// Parses `$x = ` or `${x} = `, if present.
    fn assignment(&mut self) -> Parsed<Option<String>> {
        let start = self.at;
        if self.take('$') {
            let braced = self.take('{');
            let name = self.name();
            let is_whole = !name.is_empty() && (!braced || self.take('}'));
            self.blank(false);
            if is_whole && self.peek() == Some('=') && self.peek_at(1) != Some('=') {
                self.writable(start, &name)?;
                self.at += 1;
                return Ok(Some(name));
            }
        }
        self.at = start;
        Ok(None)
    }

    /// Refuses assignment to a read-only variable.
    fn writable(&self, at: usize, name: &str) -> Parsed<()> {
        if has(&READ_ONLY, name) {
            return self.wrong_at(
                at,
                format!("Cannot overwrite variable {name} because it is read-only or constant."),
            );
        }
        self.known(at, name)
    }

    /// Refuses a PowerShell variable that the console does not support.
    pub(super) fn known(&self, at: usize, name: &str) -> Parsed<()> {
        if has(&REFUSED, name) {
            return self.script_at(at, &format!("The variable '${name}'"));
        }
        Ok(())
    }

    /// Returns whether `next` is the name of a one-sign variable: `$?`.
    pub(super) fn is_variable_sign(&self, next: char) -> bool {
        next == '?' && !self.peek_at(2).is_some_and(is_name)
    }
}
