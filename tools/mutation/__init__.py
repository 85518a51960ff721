"""How many small faults in a package its tests notice: `make mutation`.

A mutant is a module with one small change, of `tools.mutation.operators`. `tools.mutation.sample` draws some of them,
`tools.mutation.reach` knows which tests run a line, and `tools.mutation.trial` runs those tests against the mutant.
`tools.mutation.journal` keeps each outcome, so a run resumes. `tools.mutation.report` writes docs/figures/mutation.md.

Two libraries were weighed. cosmic-ray starts a new pytest for each mutant, which takes three hours here, and changes
the source files in place. mutmut mutates neither decorated functions nor what stands outside of functions: constants,
enums, defaults. Neither draws a sample.
"""
