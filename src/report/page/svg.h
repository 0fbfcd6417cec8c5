// Pictures as SVG text: axes with sensible ticks, areas and lines over time, bars. Colours are
// classes that the page's style sheet gives values, for light and dark.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace prefold {

// &, <, > and both quotes as references; control characters as U+FFFD.
std::string html_escaped(std::string_view text);

struct Tick {
  double value = 0;
  std::string label;
};

// At 0 and up to `most`, about `n_wanted` of them, at steps of 1, 2 or 5 times a power of ten.
std::vector<Tick> count_ticks(double most, int n_wanted,
                              const std::function<std::string(double)>& label);
// The same in seconds, minutes or hours.
std::vector<Tick> time_ticks(double most_s, int n_wanted);
// Bytes in powers of 1024.
std::vector<Tick> byte_ticks(double most, int n_wanted);

struct Point {
  double x = 0, y = 0;
};

// A rectangle with axes, in the units of its data. Everything is drawn within [0, x_most] and
// [0, y_most], both above 0.
class Chart {
 public:
  static constexpr double kWidth = 520, kHeight = 270;

  Chart(std::string title, std::string description, double x_most, double y_most);

  void x_axis(const std::vector<Tick>& ticks, const std::string& unit);
  void y_axis(const std::vector<Tick>& ticks, const std::string& unit);
  // Each value holds from the point before to this one (from 0 for the first). low: the values
  // that the area stands on, as many; none: the axis.
  void area(const std::vector<Point>& points, const std::vector<double>& low,
            const std::string& css_class);
  void step_line(const std::vector<Point>& points, const std::string& css_class);
  void line(const std::vector<Point>& points, const std::string& css_class);
  // Across the whole width, with a text above its end.
  void level(double y, const std::string& text);
  void dot(Point at, const std::string& css_class, const std::string& tooltip);
  // anchor: start, middle or end.
  void text(Point at, double dx, double dy, const std::string& anchor, const std::string& words,
            const std::string& css_class = "label");

  std::string take();

 private:
  double px(double x) const;
  double py(double y) const;

  double x_most_, y_most_;
  std::string body_;
  std::string title_, description_;
};

// Horizontal bars, one below the other, each with its name on the left and its value at its end.
struct BarPart {
  double value = 0;
  std::string css_class;
  std::string tooltip;
};
struct Bar {
  std::string name;
  std::vector<BarPart> parts;  // end to end
  std::string label;
};
std::string bar_chart(const std::string& title, const std::string& description,
                      const std::vector<Bar>& bars);

// <svg> of this size around `body`, with title and description for those who do not see it.
std::string svg_picture(double width, double height, const std::string& title,
                        const std::string& description, const std::string& body);

}  // namespace prefold
