{% include "review_state.js" %}
{% include "review_view.js" %}
{% include "review_actions.js" %}
