//! The content of the live screen. Pure: it only draws the data that it was given.

use std::ops::Range;

use indicatif::HumanBytes;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use crate::agent::control::{Attached, Status};
use crate::commands::status::shell_line;
use crate::screen::{Colour, clean_line, cut, format_seconds, width};

/// Columns between two columns.
const GAP: usize = 2;
/// Rows of the footer: a question or message may be wrapped.
const FOOTER: u16 = 2;
const KEYS: &str = "q quit  s stop  ↑↓ select";

/// An agent; without a status, it does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub status: Option<Status>,
}

impl Row {
    /// Returns the shells that are listed below the agent.
    fn shells(&self) -> &[Attached] {
        let open = self.status.as_ref().filter(|status| status.open.is_some());
        open.map_or(&[], |status| &status.shells)
    }
}

/// The sessions of a profile's account on its endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub profile: String,
    pub used: usize,
    pub allowed: Option<usize>,
}

/// State of the screen.
#[derive(Debug)]
pub struct View {
    rows: Vec<Row>,
    selected: usize,
    /// The first line of the agents and shells that is drawn.
    top: usize,
    /// Number of lines that the terminal showed.
    height: usize,
    pub accounts: Vec<Account>,
    /// Profile in the question whether to stop its agent; `None` if there is no question.
    pub asked: Option<String>,
    /// The last result, shown until the next one.
    pub message: String,
    is_coloured: bool,
    /// Whether the agents have been asked.
    is_known: bool,
}

/// A column of the agents' lines. The columns that do not fit are left out from the end of [`COLUMNS`].
struct Column {
    title: &'static str,
    width: usize,
    value: fn(&View, &Status) -> String,
}

const COLUMNS: [Column; 8] = [
    Column { title: "SHELLS", width: 6, value: |_, status| status.shells.len().to_string() },
    Column { title: "ERRORS", width: 6, value: |_, status| status.traffic.errors.to_string() },
    Column {
        title: "SESSIONS",
        width: 8,
        value: |view, status| {
            let account = view.accounts.iter().find(|account| account.profile == status.profile);
            let of =
                |allowed: Option<usize>| allowed.map(|allowed| format!("/{allowed}")).unwrap_or_default();
            account.map(|account| format!("{}{}", account.used, of(account.allowed))).unwrap_or_default()
        },
    },
    Column {
        title: "RUNNING",
        width: 7,
        value: |_, status| match status.traffic.queued {
            0 => status.traffic.running.to_string(),
            queued => format!("{}+{queued}", status.traffic.running),
        },
    },
    Column { title: "PIPELINES", width: 9, value: |_, status| status.traffic.pipelines.to_string() },
    Column {
        title: "RECEIVED",
        width: 10,
        value: |_, status| HumanBytes(status.traffic.received).to_string(),
    },
    Column { title: "SENT", width: 10, value: |_, status| HumanBytes(status.traffic.sent).to_string() },
    Column {
        title: "OPEN",
        width: 11,
        value: |_, status| status.open.map(format_seconds).unwrap_or_default(),
    },
];

impl View {
    pub fn new(colour: Colour) -> Self {
        Self {
            rows: Vec::new(),
            selected: 0,
            top: 0,
            height: 0,
            accounts: Vec::new(),
            asked: None,
            message: String::new(),
            is_coloured: colour == Colour::Keep,
            is_known: false,
        }
    }

    /// Replaces the agents. The same agent stays selected.
    pub fn set_rows(&mut self, rows: Vec<Row>) {
        let name = self.rows.get(self.selected).map(|row| row.name.clone());
        let same = rows.iter().position(|row| Some(&row.name) == name.as_ref());
        self.selected = same.unwrap_or(self.selected).min(rows.len().saturating_sub(1));
        (self.rows, self.is_known) = (rows, true);
    }

    /// Moves the selection. One step first scrolls through the shells of an agent with more shells than fit.
    pub fn select(&mut self, by: isize) {
        let current = self.lines_of(self.selected);
        let is_taller = self.height > 0 && current.len() > self.height;
        match by {
            1 if is_taller && current.end > self.bottom() => return self.top += 1,
            -1 if is_taller && current.start < self.top => return self.top -= 1,
            _ => {}
        }
        let last = self.rows.len().saturating_sub(1);
        self.selected = self.selected.saturating_add_signed(by).min(last);
        self.show_selected();
        if by == isize::MAX {
            self.top = self.lines_of(last).end.saturating_sub(self.height);
        }
    }

    /// Returns the line after the last one that is drawn.
    fn bottom(&self) -> usize {
        self.top + self.height
    }

    /// Returns the lines of an agent and its shells.
    fn lines_of(&self, at: usize) -> Range<usize> {
        let count = |row: &Row| 1 + row.shells().len();
        let start = self.rows.iter().take(at).map(count).sum();
        start..start + self.rows.get(at).map_or(0, count)
    }

    /// Scrolls to the selected agent, and to as many of its shells as fit.
    fn show_selected(&mut self) {
        let lines = self.lines_of(self.selected);
        if lines.end > self.bottom() {
            self.top = lines.end.saturating_sub(self.height);
        }
        self.top = self.top.min(lines.start);
    }

    /// Adapts the scroll position to the terminal's height and to the current agents.
    fn fit(&mut self, height: usize) {
        self.height = height;
        let lines = self.lines_of(self.selected);
        if lines.end <= self.top || lines.start >= self.bottom() {
            self.show_selected();
        }
        let all = self.lines_of(self.rows.len()).start;
        self.top = self.top.min(all.saturating_sub(height));
    }

    /// Asks whether to stop the selected agent.
    pub fn ask(&mut self) {
        self.asked = self.rows.get(self.selected).map(|row| row.name.clone());
    }

    pub fn draw(&mut self, frame: &mut Frame) {
        let areas =
            Layout::vertical([Constraint::Length(2), Constraint::Fill(1), Constraint::Length(FOOTER)]);
        let [head, body, foot] = areas.areas(frame.area());
        let columns = usize::from(frame.area().width);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let names = self.rows.iter().map(|row| width(&row.name)).max().unwrap_or(0);
        // Half of a narrow terminal is for the names.
        let names = names.clamp("PROFILE".len(), (columns / 2).max("PROFILE".len()));
        let shown = fitting(columns.saturating_sub(names));
        let titles = shown.iter().map(|column| right(column.title, column.width));
        let titles: String = [left("PROFILE", names)].into_iter().chain(titles).collect();
        frame.render_widget(
            Paragraph::new(vec![Line::styled(self.title(), bold), Line::styled(titles, bold)]),
            head,
        );
        if self.rows.is_empty() {
            let text = if self.is_known { "no running agents" } else { "" };
            frame.render_widget(Paragraph::new(text), body);
        } else {
            self.fit(usize::from(body.height));
            let rows = self.rows.iter().enumerate();
            let lines = rows.flat_map(|(at, row)| self.lines(at, row, names, &shown, columns));
            let lines: Vec<Line> = lines.skip(self.top).take(self.height).collect();
            frame.render_widget(Paragraph::new(lines), body);
        }
        let foot_text = match &self.asked {
            Some(name) => format!("Stop the agent of '{name}' and remove its session (y/N)?"),
            None if self.message.is_empty() => KEYS.to_owned(),
            None => format!("{}\n{KEYS}", clean_line(&self.message)),
        };
        frame.render_widget(Paragraph::new(foot_text).wrap(Wrap { trim: true }), foot);
    }

    fn title(&self) -> String {
        let shells: usize =
            self.rows.iter().flat_map(|row| &row.status).map(|status| status.shells.len()).sum();
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let agents = self.rows.len();
        format!("lyncsh watch: {agents} agent{}, {shells} shell{}", plural(agents), plural(shells))
    }

    /// Returns the lines of an agent and its shells.
    fn lines(
        &self,
        at: usize,
        row: &Row,
        names: usize,
        shown: &[&Column],
        columns: usize,
    ) -> Vec<Line<'static>> {
        let mut first = left(&row.name, names);
        let mut errors = None;
        match &row.status {
            None => first.push_str("  does not answer"),
            Some(status) if status.open.is_none() => first.push_str("  connecting"),
            Some(status) => {
                for column in shown {
                    let value = right(&(column.value)(self, status), column.width);
                    if column.title == "ERRORS" && status.traffic.errors > 0 {
                        errors = Some(first.len()..first.len() + value.len());
                    }
                    first.push_str(&value);
                }
            }
        }
        let style =
            if at == self.selected { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        let first = match errors.filter(|_| self.is_coloured) {
            Some(range) => {
                let red = style.fg(Color::Red);
                let parts = [(0..range.start, style), (range.clone(), red), (range.end..first.len(), style)];
                Line::from_iter(parts.map(|(part, style)| Span::styled(first[part].to_owned(), style)))
            }
            None => Line::styled(first, style),
        };
        let shells = row.shells().iter().map(|shell| {
            let text = format!("  {}", shell_line(shell));
            Line::from(cut(clean_line(&text).as_str(), columns).0.to_owned())
        });
        std::iter::once(first).chain(shells).collect()
    }
}

/// Returns the columns that fit.
fn fitting(columns: usize) -> Vec<&'static Column> {
    let mut left = columns;
    COLUMNS
        .iter()
        .take_while(|column| {
            let fits = column.width + GAP <= left;
            left = left.saturating_sub(column.width + GAP);
            fits
        })
        .collect()
}

/// Pads a text on the right, or cuts it.
fn left(text: &str, columns: usize) -> String {
    let text = clean_line(text);
    let text = cut(text.as_str(), columns).0;
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Pads a text on the left, after the gap.
fn right(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(GAP + columns.saturating_sub(width(text))))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::agent::control::Traffic;

    fn row(name: &str, errors: u64) -> Row {
        let shell = Attached {
            program: Some("pwsh".into()),
            process: Some(12),
            attached: Some(Duration::from_secs(70)),
            commands: vec!["Get-CsOnlineUser\u{1b}[2J".into()],
        };
        let status = Status {
            profile: name.to_owned(),
            version: None,
            process: 7,
            user: None,
            endpoint: None,
            session: None,
            open: Some(Duration::from_hours(1)),
            shells: vec![shell],
            used: None,
            allowed: Some(3),
            holders: Vec::new(),
            traffic: Traffic { running: 1, queued: 2, pipelines: 40, received: 2048, sent: 512, errors },
        };
        Row { name: name.to_owned(), status: Some(status) }
    }

    fn view(colour: Colour) -> View {
        let mut view = View::new(colour);
        view.set_rows(vec![Row { name: "lab".into(), status: None }, row("work", 5)]);
        view.accounts = vec![Account { profile: "work".into(), used: 2, allowed: Some(3) }];
        view
    }

    fn drawn(view: &mut View, columns: u16, rows: u16) -> (Vec<String>, Terminal<TestBackend>) {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let row = |y| (0..columns).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        ((0..rows).map(row).collect(), terminal)
    }

    #[test]
    fn agents_and_shells_are_listed() {
        let (lines, _) = drawn(&mut view(Colour::Drop), 100, 8);
        assert_eq!(
            lines,
            [
                "lyncsh watch: 2 agents, 1 shell",
                "PROFILE  SHELLS  ERRORS  SESSIONS  RUNNING  PIPELINES    RECEIVED        SENT         OPEN",
                "lab      does not answer",
                "work          1       5       2/3      1+2         40    2.00 KiB       512 B           1h",
                "  pwsh (process 12), attached for 1m 10s, Get-CsOnlineUser^[[2J",
                "",
                "q quit  s stop  ↑↓ select",
                "",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_shows_fewer_columns() {
        for columns in 1..120 {
            for rows in [1, 2, 5] {
                let (lines, _) = drawn(&mut view(Colour::Keep), columns, rows);
                assert!(lines.iter().all(|line| width(line) <= usize::from(columns)));
            }
        }
        let (lines, _) = drawn(&mut view(Colour::Drop), 26, 8);
        assert_eq!(lines[1], "PROFILE  SHELLS  ERRORS");
        assert_eq!(lines[3], "work          1       5");
    }

    #[test]
    fn colours_follow_the_terminal() {
        for (colour, expected) in [(Colour::Keep, true), (Colour::Drop, false)] {
            let (_, terminal) = drawn(&mut view(colour), 100, 8);
            let cells = &terminal.backend().buffer().content;
            assert_eq!(cells.iter().any(|cell| cell.fg != Color::Reset), expected);
            assert!(cells.iter().any(|cell| cell.modifier.contains(Modifier::REVERSED)), "the selection");
        }
    }

    #[test]
    fn more_shells_than_rows_can_be_scrolled() {
        let mut agent = row("work", 0);
        let shells = &mut agent.status.as_mut().unwrap().shells;
        *shells = (0..30).map(|process| Attached { process: Some(process), ..shells[0].clone() }).collect();
        let mut view = View::new(Colour::Drop);
        view.set_rows(vec![row("lab", 0), agent, row("last", 0)]);
        // The agents and shells have six of the ten rows.
        let body = |view: &mut View| drawn(view, 60, 10).0[2..8].to_vec();
        let shell = |line: &String, process: u32| line.contains(&format!("(process {process}),"));
        let lines = body(&mut view);
        assert!(
            lines[0].starts_with("lab") && lines[2].starts_with("work") && shell(&lines[3], 0),
            "{lines:?}"
        );
        // The second agent is selected, and as many of its shells as fit are shown.
        view.select(1);
        let lines = body(&mut view);
        assert!(lines[0].starts_with("work") && shell(&lines[1], 0) && shell(&lines[5], 4), "{lines:?}");
        (0..25).for_each(|_| view.select(1));
        let lines = body(&mut view);
        assert!(shell(&lines[0], 24) && shell(&lines[5], 29), "{lines:?}");
        // A refresh with the same agents does not scroll back.
        view.set_rows(view.rows.clone());
        assert_eq!(body(&mut view), lines);
        view.select(1);
        let lines = body(&mut view);
        assert!(shell(&lines[3], 29) && lines[4].starts_with("last"), "{lines:?}");
        view.ask();
        assert_eq!(view.asked.take().as_deref(), Some("last"));
        view.select(-1);
        let lines = body(&mut view);
        assert!(lines[0].starts_with("work"), "{lines:?}");
        view.select(isize::MIN);
        assert!(body(&mut view)[0].starts_with("lab"));
        view.select(isize::MAX);
        assert!(body(&mut view)[4].starts_with("last"));
        // Fewer agents than the terminal has rows.
        view.set_rows(vec![row("last", 0)]);
        assert!(body(&mut view)[0].starts_with("last"));
    }

    #[test]
    fn the_selection_follows_the_agent() {
        let mut view = view(Colour::Drop);
        view.select(1);
        view.set_rows(vec![row("work", 0)]);
        view.ask();
        assert_eq!(view.asked.as_deref(), Some("work"));
        view.select(isize::MAX);
        view.select(isize::MIN);
        view.set_rows(Vec::new());
        view.ask();
        assert_eq!(view.asked, None);
        assert!(drawn(&mut view, 40, 6).0.contains(&"no running agents".to_owned()));
    }
}
