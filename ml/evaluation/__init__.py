"""How answers are judged: splits that leak nothing, calendar weeks as the sample, intervals, scores. numpy only."""
