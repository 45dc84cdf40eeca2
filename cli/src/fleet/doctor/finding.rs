//! The finding of a check, and the text of all findings.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// The check's subject, one or two words.
    pub(super) check: &'static str,
    pub(super) found: String,
    /// What to do; `None` if all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to_do: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { level: Level::Ok, check, found: found.into(), to_do: None }
    }

    /// Something may not work, or cost more than it should.
    pub(super) fn warn(check: &'static str, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self { level: Level::Warn, check, found: found.into(), to_do: Some(to_do.into()) }
    }

    /// Runs cannot work.
    pub(super) fn fail(check: &'static str, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self { level: Level::Fail, check, found: found.into(), to_do: Some(to_do.into()) }
    }
}

/// The findings about a stack as text.
#[cfg(test)]
pub(super) fn text(findings: &[Finding]) -> String {
    text_about("the fleet", findings)
}

/// A line per finding, and one for what to do about it; then how many are bad. `subject` is what was checked.
pub(super) fn text_about(subject: &str, findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let level = match finding.level {
            Level::Ok => "ok  ",
            Level::Warn => "WARN",
            Level::Fail => "FAIL",
        };
        text.push_str(&format!("{level}  {:13}{}\n", finding.check, finding.found));
        if let Some(to_do) = &finding.to_do {
            text.push_str(&format!("{:19}-> {to_do}\n", ""));
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    text.push_str(&match (count(Level::Fail), count(Level::Warn)) {
        (0, 0) => format!("{subject} is ready\n"),
        (0, warnings) => format!("{subject} can run; {}\n", counted(warnings, "warning")),
        (failures, warnings) => {
            format!(
                "{} to fix before a run can start, {}\n",
                counted(failures, "problem"),
                counted(warnings, "warning")
            )
        }
    });
    text
}

/// `1 warning`, `2 warnings`.
fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_told() {
        let findings = [
            Finding::ok("stack", "tagfleet, with all its outputs"),
            Finding::warn("mail", "the account is in SES's sandbox", "ask for production access"),
            Finding::fail("cpu workers", "a job needs 8 vCPUs, the environment allows 4", "raise MaxVcpus"),
        ];
        insta::assert_snapshot!(text(&findings), @r"
        ok    stack        tagfleet, with all its outputs
        WARN  mail         the account is in SES's sandbox
                           -> ask for production access
        FAIL  cpu workers  a job needs 8 vCPUs, the environment allows 4
                           -> raise MaxVcpus
        1 problem to fix before a run can start, 1 warning
        ");
        insta::assert_snapshot!(text(&findings[..1]), @r"
        ok    stack        tagfleet, with all its outputs
        the fleet is ready
        ");
    }
}
