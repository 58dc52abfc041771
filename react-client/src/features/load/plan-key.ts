/** Under which the plan in the form is remembered, as the settings of a link. */
export const PLAN_KEY = 'echo-trio.plan';
